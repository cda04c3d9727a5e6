//! Where a socket listens: TCP, or a socket file.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// A connection's bytes, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A bound endpoint.
pub enum Listener {
    /// `tcp://address:port`
    Tcp(TcpListener),
    /// `ipc://path`
    Ipc(UnixListener),
}

/// The file of an `ipc://` endpoint. Dropping it removes the file.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Listener {
    /// Listens on `tcp://address:port` or `ipc://path`.
    ///
    /// # Errors
    /// If the endpoint is neither, or is in use.
    pub async fn bind(endpoint: &str) -> io::Result<(Self, Option<SocketFile>)> {
        if let Some(path) = endpoint.strip_prefix("ipc://") {
            let path = PathBuf::from(path);
            remove_stale(&path).await;
            return Ok((Self::Ipc(UnixListener::bind(&path)?), Some(SocketFile(path))));
        }
        let address = endpoint.strip_prefix("tcp://").and_then(|address| address.rsplit_once(':'));
        let port = address.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, port) = port.ok_or(io::ErrorKind::InvalidInput)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host) {
            "*" => "0.0.0.0",
            host => host,
        };
        Ok((Self::Tcp(TcpListener::bind((host, port)).await?), None))
    }

    /// The next connection.
    ///
    /// # Errors
    /// If the system refuses it: no descriptor is left, or the peer is gone again.
    pub async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Ipc(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes the socket file of a kernel that was killed: a socket that refuses connections. Anything else stays.
async fn remove_stale(path: &Path) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err_and(refuses) {
        // If it stays, binding says why.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::{Listener, SocketFile};

    fn listen(endpoint: &str) -> std::io::Result<(Listener, Option<SocketFile>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Listener::bind(endpoint))
    }

    #[test]
    fn a_stale_socket_file_is_replaced_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k-1");
        let endpoint = format!("ipc://{}", path.display());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(listen(&endpoint).unwrap());
        assert!(!path.exists(), "removed with its listener");
        let live = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(listen(&endpoint).is_err());
        drop(live);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "text").unwrap();
        assert!(listen(&endpoint).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn an_endpoint_has_a_scheme_and_a_port() {
        for endpoint in ["tcp://127.0.0.1", "tcp://127.0.0.1:x", "udp://127.0.0.1:1", ""] {
            assert!(listen(endpoint).is_err(), "{endpoint}");
        }
        for endpoint in ["tcp://127.0.0.1:0", "tcp://*:0", "tcp://localhost:0"] {
            assert!(listen(endpoint).is_ok(), "{endpoint}");
        }
    }
}

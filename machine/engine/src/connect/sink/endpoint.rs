//! Where a publisher listens: a socket of the file system that only this user can reach, or a port of this machine's
//! own network.

use crate::core::command_error::failed;
use machine_protocol::{Error, ErrorKind};
use machine_remote::place;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A socket that listens, not yet watched by anyone.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(std::net::TcpListener, SocketAddr),
}

impl Listener {
    /// Binds an endpoint: `ipc://PATH`, `tcp://ADDRESS:PORT`, or empty for a socket of this name in a private
    /// directory.
    ///
    /// # Errors
    /// If it is no such endpoint, is not of this machine, or cannot be bound.
    pub fn bind(endpoint: &str, name: &str) -> Result<Self, Error> {
        let bound = if endpoint.is_empty() {
            bind_private(name)
        } else if let Some(path) = endpoint.strip_prefix("ipc://") {
            if path.is_empty() || path == "*" { bind_private(name) } else { bind_unix(Path::new(path)) }
        } else if let Some(address) = endpoint.strip_prefix("tcp://") {
            bind_tcp(loopback(address)?)
        } else {
            let message =
                format!("{endpoint:?} is no endpoint: ipc://PATH, tcp://127.0.0.1:PORT, or nothing for a private one");
            return Err(failed(ErrorKind::BadEndpoint, message));
        };
        let what = if endpoint.is_empty() { "a private socket" } else { endpoint };
        let listener = bound.map_err(|error| {
            failed(ErrorKind::CannotBind, format!("{what} cannot be bound to publish on it: {error}"))
        })?;
        Ok(listener)
    }

    /// What subscribers connect to.
    pub fn endpoint(&self) -> String {
        match self {
            Self::Unix(_, path) => format!("ipc://{}", path.display()),
            Self::Tcp(_, address) => format!("tcp://{address}"),
        }
    }
}

/// The address of an endpoint of this machine's own network.
fn loopback(address: &str) -> Result<SocketAddr, Error> {
    let bad = |why: &str| failed(ErrorKind::BadEndpoint, format!("tcp://{address}: {why}"));
    let (host, port) = address.rsplit_once(':').ok_or_else(|| bad("there is no port: tcp://127.0.0.1:5555"))?;
    let port = match port {
        "*" => 0,
        port => port.parse().map_err(|_| bad("the port is no number from 0 to 65535"))?,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = match host {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        host => host.parse().map_err(|_| bad("the host is no address: 127.0.0.1"))?,
    };
    if !ip.is_loopback() {
        return Err(bad(
            "outputs are published to this machine alone, on 127.0.0.1: forward the port to reach farther",
        ));
    }
    Ok(SocketAddr::new(ip, port))
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Listener::Tcp(listener, address))
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.exists())
    {
        let message = format!("there is no directory {}: make it first", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    // The process may have another directory when the socket is removed.
    let absolute = std::path::absolute(path)?;
    let listener = match UnixListener::bind(path) {
        // The socket of a process that is gone.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && place::sweep_one(path) => UnixListener::bind(path)?,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let message = "somebody listens there, or a file is there: name another path";
            return Err(io::Error::new(error.kind(), message));
        }
        other => other?,
    };
    place::own(&absolute);
    listen(listener, absolute)
}

/// Binds a socket of this name where only this user can reach it.
fn bind_private(name: &str) -> io::Result<Listener> {
    let (listener, path) = place::publish(name)?;
    listen(listener, path)
}

fn listen(listener: UnixListener, path: PathBuf) -> io::Result<Listener> {
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener, path))
}

#[cfg(test)]
mod tests {
    use super::loopback;

    #[test]
    fn only_addresses_of_this_machine() {
        let address = |text: &str| loopback(text).map(|address| address.to_string());
        assert_eq!(address("127.0.0.1:5555"), Ok("127.0.0.1:5555".to_owned()));
        assert_eq!(address("localhost:*"), Ok("127.0.0.1:0".to_owned()));
        assert_eq!(address("[::1]:7"), Ok("[::1]:7".to_owned()));
        for bad in ["0.0.0.0:5555", "*:5555", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", ""] {
            assert_eq!(
                address(bad).map_err(|failure| failure.kind()),
                Err(machine_protocol::ErrorKind::BadEndpoint),
                "{bad}"
            );
        }
    }
}

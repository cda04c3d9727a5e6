//! Where a publisher listens: a socket of the file system that only this user can reach, or a port of this machine's
//! own network.

use crate::command_error::failed;
use machine::command::Failure;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that listens, not yet watched by anyone.
#[derive(Debug)]
pub(super) enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(std::net::TcpListener, SocketAddr),
}

impl Listener {
    /// Binds an endpoint: `ipc://PATH`, `tcp://ADDRESS:PORT`, or empty for a socket of this name in a private
    /// directory.
    ///
    /// # Errors
    /// If it is no such endpoint, is not of this machine, or cannot be bound.
    pub fn bind(endpoint: &str, name: &str) -> Result<Self, Failure> {
        let bound = if endpoint.is_empty() {
            private_directory().and_then(|directory| bind_free(&directory, name))
        } else if let Some(path) = endpoint.strip_prefix("ipc://") {
            if path.is_empty() || path == "*" {
                private_directory().and_then(|directory| bind_free(&directory, name))
            } else {
                bind_unix(Path::new(path))
            }
        } else if let Some(address) = endpoint.strip_prefix("tcp://") {
            bind_tcp(loopback(address)?)
        } else {
            let message =
                format!("{endpoint:?} is no endpoint: ipc://PATH, tcp://127.0.0.1:PORT, or nothing for a private one");
            return Err(failed("bad_endpoint", message));
        };
        let what = if endpoint.is_empty() { "a private socket" } else { endpoint };
        let listener = bound
            .map_err(|error| failed("cannot_bind", format!("{what} cannot be bound to publish on it: {error}")))?;
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
fn loopback(address: &str) -> Result<SocketAddr, Failure> {
    let bad = |why: &str| failed("bad_endpoint", format!("tcp://{address}: {why}"));
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
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let listener = match UnixListener::bind(path) {
        // The socket of a process that is gone.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && UnixStream::connect(path).is_err() => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener, path.to_owned()))
}

/// Binds `name`, or the name with the number of this process if another one listens there.
fn bind_free(directory: &Path, name: &str) -> io::Result<Listener> {
    match bind_unix(&directory.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bind_unix(&directory.join(format!("{name}-{}", std::process::id())))
        }
        other => other,
    }
}

/// A directory that only this user can enter.
fn private_directory() -> io::Result<PathBuf> {
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").filter(|runtime| !runtime.is_empty()) {
        let directory = PathBuf::from(runtime).join("machine");
        if make_private(&directory).is_ok() {
            return Ok(directory);
        }
    }
    // Another user could have made a directory of any name that is known beforehand: then the next one is tried.
    let temporary = std::env::temp_dir();
    let mut last = io::Error::other("there is no directory for it");
    for attempt in 0..8 {
        let directory = temporary.join(format!("machine-{}-{attempt}", std::process::id()));
        match make_private(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Makes a directory of mode 0700, or checks one that is there.
fn make_private(directory: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = std::fs::symlink_metadata(directory)?;
            let own = own_user(directory)?;
            if found.is_dir() && found.mode() & 0o077 == 0 && found.uid() == own {
                Ok(())
            } else {
                Err(io::Error::other(format!("{} is not this user's own, with mode 0700", directory.display())))
            }
        }
        other => other,
    }
}

/// The user of this process: the owner of its entry among the processes. Where there is none, a directory of mode
/// 0700 that can be looked at has to do.
fn own_user(directory: &Path) -> io::Result<u32> {
    let process = std::fs::metadata("/proc/self").or_else(|_| std::fs::metadata(directory));
    process.map(|process| process.uid())
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
            assert_eq!(address(bad).map_err(|failure| failure.code), Err("bad_endpoint".to_owned()), "{bad}");
        }
    }
}

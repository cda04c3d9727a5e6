//! The connection file: where to listen, and with which key.

use super::signing::Key;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The only signature scheme that there is in practice.
const SCHEME: &str = "hmac-sha256";

/// What a front end wrote for the kernel that it starts.
#[derive(Clone, Debug)]
pub struct Connection {
    transport: Transport,
    ip: String,
    /// Ports, in the order shell, control, stdin, iopub, heartbeat.
    ports: Ports,
    key: Key,
}

/// The ports of the five sockets. With the transport `ipc` they are the numbers at the end of the paths.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Requests of the front end.
    pub shell: u16,
    /// Requests that must not wait behind others.
    pub control: u16,
    /// Questions to the user.
    pub stdin: u16,
    /// What everybody sees.
    pub iopub: u16,
    /// Echo.
    pub heartbeat: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transport {
    Tcp,
    Ipc,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default = "tcp")]
    transport: Transport,
    ip: String,
    shell_port: u16,
    control_port: u16,
    stdin_port: u16,
    iopub_port: u16,
    hb_port: u16,
    #[serde(default)]
    key: String,
    #[serde(default = "scheme")]
    signature_scheme: String,
}

fn tcp() -> Transport {
    Transport::Tcp
}

fn scheme() -> String {
    SCHEME.to_owned()
}

/// Why a connection file is of no use. One line: the file, what is there, what is expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// It cannot be read.
    #[error("connection file {}: cannot be read; expected the JSON file that a Jupyter front end writes", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not JSON, or a field is missing or of another type.
    #[error(
        "connection file {}: not a valid connection file; expected a JSON object with ip, key, shell_port, control_port, \
         stdin_port, iopub_port and hb_port", path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It asks for another signature.
    #[error("connection file {}: signature_scheme is `{found}`; expected `{SCHEME}`", path.display())]
    Scheme {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        found: String,
    },
}

impl Connection {
    /// Reads a connection file.
    ///
    /// # Errors
    /// If it cannot be read, is not what it should be, or asks for another signature than HMAC-SHA256.
    pub fn read(path: &Path) -> Result<Self, ConnectionError> {
        let text =
            std::fs::read(path).map_err(|source| ConnectionError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    fn parse(text: &[u8], path: &Path) -> Result<Self, ConnectionError> {
        let raw: Raw = serde_json::from_slice(text)
            .map_err(|source| ConnectionError::Corrupt { path: path.to_owned(), source })?;
        if raw.signature_scheme != SCHEME {
            return Err(ConnectionError::Scheme { path: path.to_owned(), found: raw.signature_scheme });
        }
        let ports = Ports {
            shell: raw.shell_port,
            control: raw.control_port,
            stdin: raw.stdin_port,
            iopub: raw.iopub_port,
            heartbeat: raw.hb_port,
        };
        Ok(Self { transport: raw.transport, ip: raw.ip, ports, key: Key::new(raw.key.as_bytes()) })
    }

    /// The key that messages are signed with.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The ports.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The `ZeroMQ` endpoint for one of the ports.
    #[must_use]
    pub fn endpoint(&self, port: u16) -> String {
        match self.transport {
            Transport::Tcp => format!("tcp://{}:{port}", self.ip),
            Transport::Ipc => format!("ipc://{}-{port}", self.ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"transport":"tcp","ip":"127.0.0.1","shell_port":1,"control_port":2,"stdin_port":3,
        "iopub_port":4,"hb_port":5,"key":"a-b","signature_scheme":"hmac-sha256","kernel_name":"x"}"#;

    fn parse(text: &str) -> Result<Connection, String> {
        Connection::parse(text.as_bytes(), Path::new("k.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_names_its_endpoints() {
        let connection = parse(GOOD).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(connection.endpoint(connection.ports().iopub), "tcp://127.0.0.1:4");
        let ipc = parse(&GOOD.replace("tcp", "ipc").replace("127.0.0.1", "/tmp/k")).map(|it| it.endpoint(5));
        assert_eq!(ipc.as_deref(), Ok("ipc:///tmp/k-5"));
    }

    #[test]
    fn a_bad_file_says_what_is_wrong() {
        for (text, part) in [
            ("", "not a valid connection file"),
            ("{}", "expected a JSON object with ip"),
            (&GOOD.replace("1,", "70000,"), "not a valid"),
            (&GOOD.replace("tcp", "udp"), "not a valid"),
            (&GOOD.replace("sha256", "md5"), "signature_scheme is `hmac-md5`; expected `hmac-sha256`"),
        ] {
            let error = parse(text).map(|_| ()).unwrap_err();
            assert!(error.contains(part) && error.contains("k.json") && !error.contains('\n'), "{error}");
        }
    }
}

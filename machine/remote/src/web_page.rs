//! What keeps web pages away from the HTTP endpoints of this process.
//!
//! A page that the user looks at can make the browser send requests to this computer. The browser says so in headers that
//! the page cannot change: `Origin`, `Sec-Fetch-Site`, and, for a name that an attacker has pointed at this computer (DNS
//! rebinding), `Host`.

use std::net::IpAddr;

/// Why a request with this header is refused. The name of a host counts where only this computer can connect
/// (`is_local`): elsewhere this computer may be called anything.
#[must_use]
pub fn refuses(name: &str, value: &str, is_local: bool) -> Option<&'static str> {
    if name.eq_ignore_ascii_case("origin") {
        return Some("this endpoint takes nothing from web pages (the request has an Origin)");
    }
    if name.eq_ignore_ascii_case("sec-fetch-site") && !["none", "same-origin"].contains(&value) {
        return Some("this endpoint takes nothing from web pages (Sec-Fetch-Site names another site)");
    }
    if name.eq_ignore_ascii_case("host") && is_local && !is_this_computer(value) {
        return Some("the Host of the request is not this computer; expected localhost or an IP address");
    }
    None
}

/// Whether a Host is an address or `localhost`, which nobody can point elsewhere.
fn is_this_computer(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_known = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
    is_known && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::refuses;

    #[test]
    fn only_what_a_page_sends_is_refused() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:9000", "[::1]:80", "::1", "192.168.1.2"] {
            assert_eq!(refuses("Host", host, true), None, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "localhost:80:x", ""] {
            assert!(refuses("host", host, true).is_some(), "{host}");
        }
        assert_eq!(refuses("Host", "my-server:80", false), None);
        assert!(refuses("ORIGIN", "null", false).is_some());
        for site in ["cross-site", "same-site"] {
            assert!(refuses("sec-fetch-site", site, false).is_some());
        }
        assert_eq!(refuses("Sec-Fetch-Site", "none", true), None);
        assert_eq!(refuses("Accept", "*/*", true), None);
    }
}

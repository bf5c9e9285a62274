//! The addresses that this agent asks: `http` and `https`, a host, a port, a path.
//!
//! It decides what an address may look like and how names become paths. It never resolves or connects.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Bytes of an address: browsers and servers stop between 2,000 and 8,000; a target path has at most 512, which
/// become 1,536 when each is escaped.
const URL_LENGTH: usize = 4096;

/// RFC 3986 §2.3: everything but the unreserved characters is escaped inside a path; `/` stays between its parts.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Plain or over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// An address with a scheme, a host, a port and a path (perhaps with a query), and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no address that this agent asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a server: {why}")]
pub struct NotAUrl {
    text: String,
    why: &'static str,
}

impl Url {
    /// Plain or over TLS.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a name, an IPv4 address, or an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path with its query, beginning with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as a request's `Host` and `CONNECT` want them, the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let default = if self.scheme == Scheme::Https { 443 } else { 80 };
        if self.port == default { self.bracketed() } else { self.host_port() }
    }

    /// Scheme, host and port, for messages: `https://updates.example`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    /// Host and port, always with the port.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// This address as a folder: with a `/` at its end, without a query.
    #[must_use]
    pub fn folder(&self) -> Self {
        let path = self.path.split('?').next().unwrap_or("/");
        let slash = if path.ends_with('/') { "" } else { "/" };
        Self { path: format!("{path}{slash}"), ..self.clone() }
    }

    /// A file below this folder, by its plain name (`metadata/1.root.json`, `a b/c%d`): everything that is not
    /// unreserved is escaped, `/` stays.
    #[must_use]
    pub fn file(&self, name: &str) -> Self {
        self.escaped(&utf8_percent_encode(name, ESCAPED).to_string())
    }

    /// A file below this folder, by a name that is escaped already, such as a role's file name.
    #[must_use]
    pub fn escaped(&self, name: &str) -> Self {
        let folder = self.folder();
        Self { path: format!("{}{name}", folder.path), ..folder }
    }

    /// Where a `Location` of this address leads (RFC 3986 §5.2, for the forms that servers send).
    ///
    /// # Errors
    /// [`NotAUrl`].
    pub fn redirected(&self, location: &str) -> Result<Self, NotAUrl> {
        let location = location.split('#').next().unwrap_or("");
        if location.contains("://") {
            return location.parse();
        }
        let scheme = self.scheme;
        if let Some(rest) = location.strip_prefix("//") {
            return format!("{scheme}://{rest}").parse();
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else {
            let base = self.path.split('?').next().unwrap_or("/");
            let folder = base.rfind('/').map_or("/", |end| &base[..=end]);
            format!("{folder}{location}")
        };
        format!("{scheme}://{}{path}", self.host_port()).parse()
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Https { "https" } else { "http" })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority(), self.path)
    }
}

impl FromStr for Url {
    type Err = NotAUrl;

    fn from_str(text: &str) -> Result<Self, NotAUrl> {
        parse(text).map_err(|why| NotAUrl { text: text.chars().take(120).collect(), why })
    }
}

fn parse(text: &str) -> Result<Url, &'static str> {
    if text.len() > URL_LENGTH {
        return Err("longer than 4,096 bytes");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has spaces, control characters or letters outside ASCII: escape them");
    }
    let (scheme, rest) = text.split_once("://").ok_or("it does not begin with http:// or https://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err("only http:// and https:// are known here"),
    };
    let rest = rest.split('#').next().unwrap_or("");
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("a user name or password does not belong into it");
    }
    let (host, port) = host_and_port(authority, if scheme == Scheme::Https { 443 } else { 80 })?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Url { scheme, host, port, path: without_dots(&format!("{slash}{path}")) })
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
pub(super) fn host_and_port(authority: &str, default: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("an IPv6 address lacks its closing bracket")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "what stands in brackets is no IPv6 address")?;
            let port = if after.is_empty() { None } else { after.strip_prefix(':').or(Some("")) };
            (host, port)
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(letters) {
        return Err("its host is missing or not a host's name");
    }
    let port = match port {
        Some(port) => {
            port.parse().ok().filter(|port| *port != 0).ok_or("its port is no number up to 65535")?
        }
        None => default,
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// RFC 3986 §5.2.4: `.` and `..` are resolved, and nothing climbs above the root. The query stays as it is.
fn without_dots(path: &str) -> String {
    let (path, query) = path.find('?').map_or((path, ""), |at| path.split_at(at));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            ".." => {
                parts.pop();
            }
            "." => {}
            part => parts.push(part),
        }
    }
    let folder = matches!(path.rsplit('/').next(), Some("." | ".."));
    format!("/{}{}{query}", parts.join("/"), if folder && !parts.is_empty() { "/" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read_and_written() {
        for (text, shown) in [
            ("https://updates.example", "https://updates.example/"),
            ("HTTP://Updates.Example:80/a/", "http://updates.example/a/"),
            ("http://127.0.0.1:8080/x?y=1#z", "http://127.0.0.1:8080/x?y=1"),
            ("https://[::1]:8443/a/../b/./c", "https://[::1]:8443/b/c"),
        ] {
            assert_eq!(url(text).to_string(), shown);
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "updates.example",
            "ftp://a",
            "https://",
            "https://user:pass@a/",
            "https://a b/",
            "https://a:0/",
            "https://a:99999/",
            "https://[::1/",
            "https://[zz]/",
            "https://a/é",
            "https://a\r\nHost: b/",
            &format!("https://a/{}", "x".repeat(URL_LENGTH)),
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_escaped_once() {
        let base = url("http://a/base");
        assert_eq!(base.file("p q/50%/é?#.json").path(), "/base/p%20q/50%25/%C3%A9%3F%23.json");
        assert_eq!(base.escaped("1.a%2Fb.json").path(), "/base/1.a%2Fb.json");
    }

    #[test]
    fn redirects_are_resolved() {
        let from = url("https://a:8443/x/y?q=1");
        for (location, to) in [
            ("http://b/c", "http://b/c"),
            ("//b/c", "https://b/c"),
            ("/c?d", "https://a:8443/c?d"),
            ("c", "https://a:8443/x/c"),
            ("../../../c#f", "https://a:8443/c"),
        ] {
            assert_eq!(from.redirected(location).unwrap().to_string(), to, "{location}");
        }
        assert!(from.redirected("ftp://b/").is_err());
        assert!(from.redirected("https://u@b/").is_err());
    }
}

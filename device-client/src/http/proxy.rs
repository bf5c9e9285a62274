//! Which proxy a request goes through, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
//!
//! It decides from values that it is given and never reads the environment itself.

use super::error::HttpError;
use super::url::{Scheme, Url, host_and_port};

/// What the environment says about proxies.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    none: Vec<String>,
}

/// One proxy, spoken to in plain HTTP; a server's TLS goes through it end to end.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<String>,
}

/// Without the password.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

impl Proxies {
    /// From the values of variables: `variable("HTTP_PROXY")`, or in lower case, which goes first as in curl.
    ///
    /// # Errors
    /// [`HttpError::Proxy`] for a proxy that can't be used: going around it unasked would be a surprise.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, HttpError> {
        let value = |name: &str| {
            variable(&name.to_ascii_lowercase()).or_else(|| variable(name)).filter(|value| !value.is_empty())
        };
        let proxy = |name: &'static str| {
            let wrong = |why| HttpError::Proxy { variable: name, why };
            value(name).map(|text| parse(&text).map_err(wrong)).transpose()
        };
        let none = value("NO_PROXY").unwrap_or_default();
        let none = none.split(',').map(|entry| entry.trim().to_ascii_lowercase());
        Ok(Self {
            http: proxy("HTTP_PROXY")?,
            https: proxy("HTTPS_PROXY")?,
            none: none.filter(|entry| !entry.is_empty()).collect(),
        })
    }

    /// The proxy for `url`, if it goes through one.
    pub(super) fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.scheme() == Scheme::Https { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.none.iter().any(|entry| matches(entry, url)))
    }
}

/// `*`, `host`, `.domain`, `domain` (with everything below it), each perhaps with a port.
fn matches(entry: &str, url: &Url) -> bool {
    if entry == "*" {
        return true;
    }
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if bare.parse::<std::net::Ipv6Addr>().is_err() => {
            (name.trim_start_matches('[').trim_end_matches(']'), port.parse().ok())
        }
        _ => (bare, None),
    };
    let name = name.trim_start_matches('.');
    let below = || url.host().strip_suffix(name).is_some_and(|rest| rest.ends_with('.') && !name.is_empty());
    port.is_none_or(|port: u16| port == url.port()) && (url.host() == name || below())
}

/// `http://[user:password@]host[:port]`, the scheme being optional as in curl.
fn parse(text: &str) -> Result<Proxy, String> {
    let rest = match text.split_once("://") {
        Some(("http", rest)) => rest,
        Some((other, _)) => return Err(format!("{other}:// proxies are not known here, only http://")),
        None => text,
    };
    let rest = rest.split('/').next().unwrap_or("");
    let (user, authority) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
    let (host, port) = host_and_port(authority, 1080).map_err(str::to_owned)?;
    let authorization = user.map(|user| {
        let plain: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
        format!("Basic {}", base64(&plain))
    });
    Ok(Proxy { host, port, authorization })
}

/// RFC 4648 §4: for `Proxy-Authorization`, and in PEM.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let six = (number >> (18 - 6 * digit)) & 63;
            out.push(if digit <= group.len() { DIGITS[six as usize].into() } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(pairs: &[(&str, &str)]) -> Result<Proxies, HttpError> {
        let value = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Proxies::from_variables(value)
    }

    fn goes_through(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.of(&url.parse().unwrap()).map(|proxy| format!("{}:{}", proxy.host, proxy.port))
    }

    #[test]
    fn each_scheme_has_its_proxy_and_lower_case_goes_first() {
        let both = proxies(&[
            ("HTTP_PROXY", "http://one:1"),
            ("HTTPS_PROXY", "two:2/"),
            ("https_proxy", "http://three:3"),
            ("NO_PROXY", "localhost, .inner.example,10.0.0.1:8080,::1"),
        ])
        .unwrap();
        assert_eq!(goes_through(&both, "http://a/").as_deref(), Some("one:1"));
        assert_eq!(goes_through(&both, "https://a/").as_deref(), Some("three:3"));
        for direct in [
            "http://localhost/",
            "http://x.inner.example/",
            "http://inner.example/",
            "http://10.0.0.1:8080/",
            "http://[::1]/",
        ] {
            assert_eq!(goes_through(&both, direct), None, "{direct}");
        }
        assert!(goes_through(&both, "http://10.0.0.1/").is_some());
        assert!(goes_through(&both, "http://notinner.example/").is_some());
    }

    #[test]
    fn a_star_turns_them_off_and_empty_is_none() {
        let off = proxies(&[("HTTP_PROXY", "http://one:1"), ("no_proxy", "*")]).unwrap();
        assert_eq!(goes_through(&off, "http://a/"), None);
        let none = proxies(&[("HTTP_PROXY", "")]).unwrap();
        assert_eq!(goes_through(&none, "http://a/"), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error() {
        for text in ["socks5://a:1", "http://a:x", "http://"] {
            assert!(proxies(&[("HTTPS_PROXY", text)]).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_are_sent_and_never_shown() {
        let with = proxies(&[("HTTP_PROXY", "http://Aladdin:open%20sesame@a:1")]).unwrap();
        let proxy = with.of(&"http://b/".parse().unwrap()).unwrap();
        assert_eq!(proxy.authorization.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert!(!format!("{with:?}").contains("QWxh"));
    }
}

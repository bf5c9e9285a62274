//! An answer that was made on demand: its bytes, and what the header fields say of them.

use bytes::Bytes;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// 200, 302 (then with a `location`) or 404.
    pub(crate) status: u16,
    /// `Content-Type`.
    pub(crate) content_type: &'static str,
    /// The bytes.
    pub(crate) body: Bytes,
    /// `Content-Language`, where it is for people.
    pub(crate) language: Option<&'static str>,
    /// The name under which a browser keeps it, where it is a file to be kept and not to be looked at.
    pub(crate) file_name: Option<String>,
    /// `Location`.
    pub(crate) location: Option<String>,
}

/// `Content-Type` of a page.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

impl Rendered {
    /// An answer to be looked at.
    pub(crate) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { status: 200, content_type, body, language: None, file_name: None, location: None }
    }

    /// A page in a language.
    pub(crate) fn page(status: u16, language: &'static str, html: String) -> Self {
        Self { status, language: Some(language), ..Self::new(HTML, html) }
    }

    /// The way to another address on this server.
    pub(crate) fn redirect(to: String) -> Self {
        Self { status: 302, location: Some(to), ..Self::new("text/plain; charset=utf-8", "see there\n") }
    }

    /// The same as a file to be kept under that name.
    pub(crate) fn kept_as(self, name: impl Into<String>) -> Self {
        Self { file_name: Some(name.into()), ..self }
    }
}

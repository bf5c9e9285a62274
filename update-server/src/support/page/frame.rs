//! What all pages share: head, header with the languages, footer. And the policy that lets a browser load nothing but
//! this server's pictures and run nothing at all.

use super::Reader;
use crate::blobs::digest_of;
use crate::support::Rendered;
use crate::support::words;
use hyper::header::HeaderValue;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::sync::LazyLock;

const STYLE: &str = include_str!("style.css");

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = base64(&digest_of(STYLE.as_bytes()).0);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// `Content-Security-Policy` of every page: its own style sheet, known by its hash, and this server's pictures.
pub(crate) fn policy() -> HeaderValue {
    POLICY.clone()
}

/// What stands around a page's own part.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    /// More for the head: the record for search engines.
    pub(super) head: Markup,
    pub(super) main: Markup,
    pub(super) status: u16,
    /// Whether the maker's own words are on it.
    pub(super) own_words: bool,
}

impl Frame<'_> {
    pub(super) fn render(self, reader: &Reader<'_>) -> Rendered {
        let (speech, words) = (&reader.speech, reader.speech.words);
        let direction = if words.is_rtl() { "rtl" } else { "ltr" };
        let html = html! {
            (DOCTYPE)
            html lang=(words.code) dir=(direction) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    @if !reader.view.base.is_empty() { link rel="canonical" href=(reader.view.address(reader.path)); }
                    @for other in words::all().iter().filter(|_| !reader.files) {
                        link rel="alternate" hreflang=(other.code) href=(reader.in_language(other.code));
                    }
                    style { (PreEscaped(STYLE)) }
                    (self.head)
                }
                body {
                    a.skip href="#main" { (speech.say("frame.skip")) }
                    (header(reader))
                    main #main { div.wrap { (self.main) } }
                    (footer(reader, self.own_words))
                }
            }
        };
        Rendered::page(self.status, words.code, html.into_string())
    }
}

fn header(reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        header.top { div.wrap {
            a.brand href=(reader.link("/support/")) { (speech.say("frame.site")) }
            @if !reader.files { (tongues(reader)) }
        } }
    }
}

fn tongues(reader: &Reader<'_>) -> Markup {
    let speech = &reader.speech;
    html! {
        nav aria-label=(speech.plain("frame.languages", &[])) {
            ul.tongues {
                @for words in words::all() {
                    li {
                        @if words.code == speech.words.code {
                            strong lang=(words.code) aria-current="true" { (words.name()) }
                        } @else {
                            a href=(reader.in_language(words.code)) hreflang=(words.code) lang=(words.code) { (words.name()) }
                        }
                    }
                }
            }
        }
    }
}

fn footer(reader: &Reader<'_>, own_words: bool) -> Markup {
    let speech = &reader.speech;
    html! {
        footer { div.wrap {
            p {
                a href=(reader.link("/support/")) { (speech.say("frame.find")) }
                " · "
                a href=(reader.link("/support/device-data")) { (speech.say("frame.device-data")) }
            }
            p.soft { (speech.say("frame.quiet")) }
            @if own_words && !speech.is_english() { p.soft { (speech.say("frame.own-words")) } }
            // Asked last, when everything else has been said.
            @if speech.fell_back() { p.soft { (speech.say("frame.fallback")) } }
        } }
    }
}

impl Reader<'_> {
    /// This page in another language, with what was searched for.
    fn in_language(&self, code: &str) -> String {
        let mut address = format!("{}?lang={code}", self.path);
        for name in ["q", "page"] {
            if let Some(value) = self.query.get(name) {
                let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
                address.push_str(&format!("&{name}={value}"));
            }
        }
        address
    }
}

/// RFC 4648 §4, for the 32 bytes of a digest.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize % 64];
            text.push(if place <= chunk.len() { letter.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn digests_are_written_as_browsers_read_them() {
        assert_eq!(base64(b"Man"), "TWFu");
        assert_eq!(base64(b"Ma"), "TWE=");
        assert_eq!(base64(b"M"), "TQ==");
        assert_eq!(base64(&[255; 32]), "//////////////////////////////////////////8=");
    }
}

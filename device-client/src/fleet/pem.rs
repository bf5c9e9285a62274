//! PEM (RFC 7468), written.

/// Digits of base64 in a line.
const LINE: usize = 64;

/// `der` as a PEM text.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let digits = crate::http::base64(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + &format!("-----END {label}-----\n")
}

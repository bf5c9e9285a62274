//! The fleet plane: who a device is, and what it and a server say to each other.
//!
//! Decides what is well-formed. Never checks a certificate or a signature: TLS and the server do, with the names and the
//! bytes to sign from here.
//!
//! | module | holds |
//! | --- | --- |
//! | [`name`] | the URIs in a certificate that say who a device is |
//! | [`enrol`] | `POST /v1/enrol`: a certificate request, and the fleet certificate |
//! | [`key`] | the public keys that devices have, in one spelling |
//! | [`check_in`] | `PUT /v1/devices/self`: versions and attributes, and the next ticket |
//! | [`queue`] | `POST /v1/reports`: one device's reports, and what of them is durable |
//! | [`batch`] | `POST /v1/reports/batch`: the signed queues that a gateway carries |
//! | [`erasure`] | `DELETE /v1/devices/self`: the receipt |
//! | [`flag`] | what is odd about a device, and keeps it from being evidence |
//! | [`refusal`] | every answer that is no |

pub mod batch;
pub mod check_in;
pub mod enrol;
pub mod erasure;
pub mod flag;
pub mod key;
pub mod name;
pub mod queue;
pub mod refusal;

use alloc::format;

pub use batch::{BatchAnswer, QueueAnswer, ReportBatch, SignedQueue, signed_bytes};
pub use check_in::{CheckIn, CheckedIn};
pub use enrol::{Enrolled, Enrolment};
pub use erasure::{AuditMark, Erased, Erasure};
pub use flag::{Flag, Flagged};
pub use key::DeviceKey;
pub use name::{Kind, Name, NameError};
pub use queue::{Acknowledged, ReportQueue};
pub use refusal::{Refusal, RefusalCode};

pub use crate::ident::{AttributeName, DeviceId, Label, Ticket};

use crate::document::{FormatError, ensure};

/// A text of one line for people: at most `limit` bytes, no control characters.
fn line(what: &'static str, name: &str, text: &str, limit: usize) -> Result<(), FormatError> {
    ensure(text.len() <= limit, what, || format!("its {name} is longer than {limit} bytes"))?;
    ensure(!text.chars().any(char::is_control), what, || format!("its {name} has control characters"))
}

/// A text that is to be PEM of `label`: bounded, printable ASCII in lines, and beginning as such a text does. Whoever
/// uses it decodes it.
fn pem(what: &'static str, name: &str, text: &str, label: &str, limit: usize) -> Result<(), FormatError> {
    ensure(text.len() <= limit, what, || format!("its {name} is longer than {limit} bytes"))?;
    let printable = text.bytes().all(|byte| byte == b'\n' || byte == b'\r' || matches!(byte, b' '..=b'~'));
    let begins = text.starts_with(&format!("-----BEGIN {label}-----"));
    ensure(printable && begins, what, || format!("its {name} is no PEM text of a {label}"))
}

#[cfg(test)]
mod tests;

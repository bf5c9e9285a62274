//! What a gateway carries: the queues of devices that reach no server themselves. Each counts only if its device signed
//! it, so a gateway can lose or delay what it carries, and invent nothing.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Flagged, RefusalCode, line};
use crate::document::{Document, FormatError, check_head, ensure};
use crate::ident::DeviceId;
use crate::json::Json;
use crate::limits::{
    BATCH_ANSWER_LENGTH, BATCH_LENGTH, BATCH_QUEUES, CERTIFICATE_LENGTH, CHAIN_CERTIFICATES, LINE_LENGTH,
    QUEUE_LENGTH, QUEUE_REPORTS,
};

/// The queues of 1 to 512 devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ReportBatch {
    /// `perennial.report-batch/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The queues.
    pub queues: Vec<SignedQueue>,
}

/// One device's queue with its signature, as the device handed it to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct SignedQueue {
    /// The device's chain, the leaf first: each certificate DER in base64. Empty where the queue is not signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The text of a `perennial.reports/1`, to the letter as it was signed.
    pub reports: String,
    /// By the leaf's key over [`signed_bytes`], in base64: ECDSA P-256 with SHA-256 in its ASN.1 form, or ed25519. Absent
    /// where the queue is not signed, which a laboratory alone takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// The answer to a batch: one for each queue, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct BatchAnswer {
    /// `perennial.batch-answer/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The answers.
    pub answers: Vec<QueueAnswer>,
}

/// The answer to one queue of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum QueueAnswer {
    /// It is durable.
    Acknowledged {
        /// The device, so that the gateway can tell it.
        device: DeviceId,
        /// Every report that was sent up to this sequence number is durable.
        acknowledged: u64,
        /// Reports of this queue in which something is odd.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        flagged: Vec<Flagged>,
    },
    /// It was refused; nothing of it was kept.
    Refused {
        /// What happened.
        error: String,
        /// Why, for programs.
        code: RefusalCode,
    },
}

/// What a device signs where a gateway carries its queue: the format's name and a line feed, so that a signature made for
/// anything else is none here; then the queue's text.
pub fn signed_bytes(queue: &str) -> Vec<u8> {
    [b"perennial.reports/1\n", queue.as_bytes()].concat()
}

impl Document for ReportBatch {
    const FORMAT: &'static str = "perennial.report-batch/1";
    const WHAT: &'static str = "batch of reports";
    const MAX_LENGTH: u64 = BATCH_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        counted(self.queues.len())?;
        self.queues.iter().try_for_each(SignedQueue::validate)
    }
}

impl ReportBatch {
    /// Reads a batch whose queues come from many: one that breaks a rule is an error in its place, and the others count. What
    /// a queue says and whether it is signed isn't looked at.
    ///
    /// # Errors
    /// [`FormatError`] where the batch itself can't be read, or has too many queues or none.
    pub fn parse_each(text: &[u8]) -> Result<Vec<Result<SignedQueue, FormatError>>, FormatError> {
        /// A batch, in which the queues may have any shape.
        #[derive(Deserialize)]
        struct Loose {
            queues: Vec<serde_json::Value>,
        }
        match Self::parse(text) {
            Ok(batch) => return Ok(batch.queues.into_iter().map(Ok).collect()),
            Err(FormatError::Shape { .. }) => {}
            Err(error) => return Err(error),
        }
        let shape = |error: serde_json::Error| FormatError::shape(Self::WHAT, error.to_string());
        check_head::<Self>(&Json::head(text)?)?;
        let loose: Loose = serde_json::from_slice(text).map_err(shape)?;
        counted(loose.queues.len())?;
        let one = |queue: serde_json::Value| {
            let queue: SignedQueue = serde_json::from_value(queue).map_err(shape)?;
            queue.validate().map(|()| queue)
        };
        Ok(loose.queues.into_iter().map(one).collect())
    }
}

fn counted(queues: usize) -> Result<(), FormatError> {
    let what = ReportBatch::WHAT;
    ensure(queues > 0, what, || "it has no queue".into())?;
    ensure(queues <= BATCH_QUEUES, what, || format!("more than {BATCH_QUEUES} queues"))
}

impl SignedQueue {
    fn validate(&self) -> Result<(), FormatError> {
        let what = ReportBatch::WHAT;
        ensure(self.reports.len() as u64 <= QUEUE_LENGTH, what, || {
            format!("a queue is longer than {QUEUE_LENGTH} bytes")
        })?;
        ensure(self.chain.len() <= CHAIN_CERTIFICATES, what, || {
            format!("a chain has more than {CHAIN_CERTIFICATES} certificates")
        })?;
        let limit = CERTIFICATE_LENGTH.div_ceil(3) * 4;
        self.chain.iter().try_for_each(|certificate| base64("certificate", certificate, limit))?;
        self.signature.as_ref().map_or(Ok(()), |signature| base64("signature", signature, 128))
    }
}

/// Bounded, of the base64 alphabet and whole. Whoever uses it decodes it.
fn base64(name: &str, text: &str, limit: usize) -> Result<(), FormatError> {
    let what = ReportBatch::WHAT;
    ensure(text.len() <= limit, what, || format!("a {name} is longer than {limit} characters of base64"))?;
    let digits = text.trim_end_matches('=');
    let known = digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    let whole = !digits.is_empty() && text.len().is_multiple_of(4) && text.len() - digits.len() <= 2;
    ensure(known && whole, what, || format!("a {name} is no base64"))
}

impl Document for BatchAnswer {
    const FORMAT: &'static str = "perennial.batch-answer/1";
    const WHAT: &'static str = "answer to a batch";
    const MAX_LENGTH: u64 = BATCH_ANSWER_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(self.answers.len() <= BATCH_QUEUES, what, || format!("more than {BATCH_QUEUES} answers"))?;
        self.answers.iter().try_for_each(|answer| match answer {
            QueueAnswer::Acknowledged { flagged, .. } => {
                ensure(flagged.len() <= QUEUE_REPORTS, what, || format!("more than {QUEUE_REPORTS} flags"))
            }
            QueueAnswer::Refused { error, .. } => line(what, "error", error, LINE_LENGTH),
        })
    }
}

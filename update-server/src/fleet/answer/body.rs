//! A request's body: received whole within its limit of bytes, and within its time. A sender who drips loses the request.

use super::admit::Progress;
use super::refused::Refused;
use crate::config::Limits;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use perennial_schemas::fleet::RefusalCode;
use std::time::Duration;
use tokio::time::timeout;

/// The least rate of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    span: Duration,
    bytes: u64,
}

impl Pace {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { span: limits.body.0, bytes: limits.body_bytes.0 }
    }
}

/// Receives a body of at most `limit` bytes, and says how far it has come.
///
/// # Errors
/// `too-large`, before a byte is read where the length is announced; `too-slow`; `malformed` where it is cut short.
pub(super) async fn receive(
    mut body: Incoming,
    limit: u64,
    pace: Pace,
    progress: Option<&Progress>,
) -> Result<Bytes, Refused> {
    if body.size_hint().lower() > limit {
        return Err(too_large(limit));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        // A span of its own for each `bytes`: what came before doesn't buy time.
        let mut came = 0;
        let span = timeout(pace.span, async {
            while came < pace.bytes {
                let Some(frame) = body.frame().await else { return Ok(true) };
                let cut = |_| Refused::new(RefusalCode::Malformed, "the body is cut short");
                let Ok(data) = frame.map_err(cut)?.into_data() else { continue };
                came += data.len() as u64;
                if let Some(progress) = progress {
                    progress.came(data.len());
                }
                if (first.len() + whole.len() + data.len()) as u64 > limit {
                    return Err(too_large(limit));
                }
                if first.is_empty() && whole.is_empty() {
                    first = data;
                } else {
                    if whole.is_empty() {
                        whole.extend_from_slice(&std::mem::take(&mut first));
                    }
                    whole.extend_from_slice(&data);
                }
            }
            Ok(false)
        });
        match span.await {
            Err(_) => return Err(RefusalCode::TooSlow.into()),
            Ok(Err(refused)) => return Err(refused),
            Ok(Ok(false)) => {}
            Ok(Ok(true)) if whole.is_empty() => return Ok(first),
            Ok(Ok(true)) => return Ok(whole.freeze()),
        }
    }
}

pub(super) fn too_large(limit: u64) -> Refused {
    Refused::new(RefusalCode::TooLarge, format!("the body is longer than its limit of {limit} bytes"))
}

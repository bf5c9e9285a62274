//! `POST /v1/reports`, one device's queue; and `POST /v1/reports/batch`, what a gateway carries. A gateway is believed
//! nothing: each queue counts by its device's signature.

use super::Fleet;
use super::caller::{Caller, decode};
use super::refused::{Refused, what};
use crate::fleet::desk;
use crate::fleet::fold::{Act, Done, Operation, Verdict, Who};
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use perennial_schemas::fleet::{
    Acknowledged, BatchAnswer, QueueAnswer, RefusalCode, ReportBatch, ReportQueue, SignedQueue, signed_bytes,
};
use perennial_schemas::{Document, Timestamp};
use std::sync::Arc;

/// Bodies longer than this are read on a thread of their own, so that the others of this one don't wait.
const INLINE: usize = 32 << 10;

/// One device's queue.
pub(super) async fn queue(fleet: &Arc<Fleet>, caller: Caller, body: Bytes) -> Result<Acknowledged, Refused> {
    let queue = if body.len() <= INLINE {
        ReportQueue::parse(&body)?
    } else {
        super::blocking(move || ReportQueue::parse(&body)).await??
    };
    let who = caller.who(Some(&queue.device))?;
    let operation = Operation { who, act: Act::Reports(queue) };
    match fleet.writer.write(vec![operation]).await?.pop() {
        Some(Ok(Done::Acknowledged { acknowledged, flagged })) => {
            Ok(Acknowledged::new(acknowledged, flagged))
        }
        Some(Err(code)) => Err(code.into()),
        _ => Err(RefusalCode::Internal.into()),
    }
}

/// A gateway's batch.
pub(super) async fn batch(
    fleet: &Arc<Fleet>,
    caller: Caller,
    body: Bytes,
    now: Timestamp,
) -> Result<BatchAnswer, Refused> {
    let read = {
        let fleet = Arc::clone(fleet);
        super::blocking(move || {
            if let Caller::Device(_) = &caller {
                let who = caller.who(None)?;
                let row = desk::row(fleet.store.as_ref(), who.device())?;
                fleet.may(&who, row.as_ref(), now)?;
                fleet.writer.seen(who.device());
            }
            let batch = ReportBatch::parse(&body)?;
            drop(body);
            let open = fleet.lab && matches!(caller, Caller::Lab(_));
            Ok::<_, Refused>(
                batch.queues.into_iter().map(|queue| fleet.signed(queue, open, now)).collect::<Vec<_>>(),
            )
        })
        .await??
    };
    let mut operations = Vec::with_capacity(read.len());
    let mut places = Vec::with_capacity(read.len());
    for one in read {
        match one {
            Ok(operation) => {
                places.push(Ok(operation.who.device().clone()));
                operations.push(operation);
            }
            Err(refused) => places.push(Err(refused)),
        }
    }
    let verdicts = if operations.is_empty() { Vec::new() } else { fleet.writer.write(operations).await? };
    let mut verdicts = verdicts.into_iter();
    let answers = places
        .into_iter()
        .map(|place| match place {
            Ok(device) => answer(device, verdicts.next()),
            Err(refused) => QueueAnswer::Refused { code: refused.code(), error: refused.refusal.error },
        })
        .inspect(|answer| {
            if let QueueAnswer::Refused { code, .. } = answer {
                fleet.figures.refused(*code);
            }
        })
        .collect();
    Ok(BatchAnswer { format: BatchAnswer::FORMAT.into(), requires: Vec::new(), answers })
}

fn answer(device: perennial_schemas::fleet::DeviceId, verdict: Option<Verdict>) -> QueueAnswer {
    let code = match verdict {
        Some(Ok(Done::Acknowledged { acknowledged, flagged })) => {
            return QueueAnswer::Acknowledged { device, acknowledged, flagged };
        }
        Some(Err(code)) => code,
        _ => RefusalCode::Internal,
    };
    QueueAnswer::Refused { error: what(code).into(), code }
}

impl Fleet {
    /// A queue whose device signed it; in lab mode (`open`), also one that nobody signed.
    fn signed(&self, queue: SignedQueue, open: bool, now: Timestamp) -> Result<Operation, Refused> {
        let said = ReportQueue::parse(queue.reports.as_bytes())?;
        let Some(signature) = &queue.signature else {
            if !open {
                return Err(RefusalCode::NotSigned.into());
            }
            let who = Who::Lab(said.device.clone());
            return Ok(Operation { who, act: Act::Reports(said) });
        };
        let trust = self.trust.as_ref().ok_or(RefusalCode::NotOffered)?;
        let chain = queue.chain.iter().map(|text| decode(text)).collect::<Option<Vec<_>>>();
        let chain =
            chain.ok_or_else(|| Refused::new(RefusalCode::Malformed, "a certificate is no base64"))?;
        let identity = trust.identify(&chain, now)?;
        let signature = Base64::decode_vec(signature)
            .map_err(|_| Refused::new(RefusalCode::Malformed, "the signature is no base64"))?;
        if !identity.public.verifies(&signed_bytes(&queue.reports), &signature) {
            return Err(RefusalCode::NotSigned.into());
        }
        if identity.name.device != said.device {
            return Err(RefusalCode::OtherDevice.into());
        }
        Ok(Operation { who: Who::Device(identity), act: Act::Reports(said) })
    }
}

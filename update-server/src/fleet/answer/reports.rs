//! `POST /v1/reports`, one device's queue; and `POST /v1/reports/batch`, what a gateway carries. A gateway is believed
//! nothing: each queue counts by its device's signature.

use super::Fleet;
use super::admit::SMALL;
use super::caller::{Caller, decode};
use super::refused::{Refused, what};
use crate::fleet::fold::{Act, Done, Operation, Verdict, Who};
use crate::fleet::identity::verifies;
use crate::fleet::rate::Way;
use crate::fleet::writer::{TOGETHER, weight};
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use perennial_schemas::fleet::{
    Acknowledged, BatchAnswer, DeviceId, QueueAnswer, RefusalCode, ReportBatch, ReportQueue, SignedQueue,
    signed_bytes,
};
use perennial_schemas::{Document, Timestamp};
use std::collections::HashSet;
use std::sync::Arc;

/// One device's queue.
pub(super) async fn queue(fleet: &Arc<Fleet>, caller: Caller, body: Bytes) -> Result<Acknowledged, Refused> {
    let length = body.len() as u64;
    let queue = if length <= SMALL {
        ReportQueue::parse(&body)?
    } else {
        super::blocking(move || ReportQueue::parse(&body)).await??
    };
    let who = caller.who(Some(&queue.device))?;
    let device = queue.device.clone();
    fleet.daily.holds(&device, Way::Itself, fleet.elapsed(), length).map_err(Refused::daily)?;
    let operation = Operation { who, act: Act::Reports(queue) };
    match fleet.writer.write(vec![operation]).await?.pop() {
        Some(Ok(Done::Acknowledged { acknowledged, flagged })) => {
            // Only now: what the store refuses comes again.
            fleet.daily.spend(&device, Way::Itself, fleet.elapsed(), length);
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
            let queues = ReportBatch::parse_each(&body)?;
            drop(body);
            let open = fleet.lab && matches!(caller, Caller::Lab(_));
            let mut heard = HashSet::new();
            let read = queues.into_iter().map(|queue| {
                let queue = queue?;
                let length = queue.reports.len() as u64;
                let operation = fleet.signed(queue, open, now)?;
                fleet.once(&operation, length, &mut heard).map(|()| (operation, length))
            });
            Ok::<_, Refused>(read.collect::<Vec<_>>())
        })
        .await??
    };
    let mut operations = Vec::with_capacity(read.len());
    let mut places = Vec::with_capacity(read.len());
    for one in read {
        match one {
            Ok((operation, length)) => {
                places.push(Ok((operation.who.device().clone(), length)));
                operations.push(operation);
            }
            Err(refused) => places.push(Err(refused)),
        }
    }
    let mut verdicts = write(fleet, operations).await?.into_iter();
    let answers = places
        .into_iter()
        .map(|place| match place {
            Ok((device, length)) => {
                let verdict = verdicts.next();
                if matches!(verdict, Some(Ok(Ok(_)))) {
                    fleet.daily.spend(&device, Way::Carried, fleet.elapsed(), length);
                }
                answer(device, verdict)
            }
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

/// Writes a batch down in parts that are committed by themselves, so that nobody else waits for the whole of it.
async fn write(fleet: &Fleet, operations: Vec<Operation>) -> Result<Vec<Result<Verdict, Refused>>, Refused> {
    let all = operations.len();
    let mut verdicts = Vec::with_capacity(all);
    let mut operations = operations.into_iter().peekable();
    while operations.peek().is_some() {
        let mut part = Vec::new();
        let mut reports = 0;
        while let Some(next) =
            operations.next_if(|next| part.is_empty() || reports + weight(next) <= TOGETHER)
        {
            reports += weight(&next);
            part.push(next);
        }
        match fleet.writer.write(part).await {
            Ok(written) => verdicts.extend(written.into_iter().map(Ok)),
            Err(fault) if verdicts.is_empty() => return Err(fault.into()),
            // What was written counts, and is said; the rest comes again.
            Err(fault) => {
                verdicts.resize_with(all, || Err(fault.into()));
                break;
            }
        }
    }
    Ok(verdicts)
}

fn answer(device: DeviceId, verdict: Option<Result<Verdict, Refused>>) -> QueueAnswer {
    let code = match verdict {
        Some(Ok(Ok(Done::Acknowledged { acknowledged, flagged }))) => {
            return QueueAnswer::Acknowledged { device, acknowledged, flagged };
        }
        Some(Ok(Err(code))) => code,
        Some(Err(refused)) => {
            return QueueAnswer::Refused { code: refused.code(), error: refused.refusal.error };
        }
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
        if !verifies(&identity.public, &signed_bytes(&queue.reports), &signature) {
            return Err(RefusalCode::NotSigned.into());
        }
        if identity.name.device != said.device {
            return Err(RefusalCode::OtherDevice.into());
        }
        Ok(Operation { who: Who::Carried(identity), act: Act::Reports(said) })
    }

    /// A device has one queue in a batch, and no more queues, nor bytes of them, than it may have.
    fn once(&self, operation: &Operation, length: u64, heard: &mut HashSet<DeviceId>) -> Result<(), Refused> {
        let device = operation.who.device();
        if !heard.insert(device.clone()) {
            let what = "another queue of this device stands before it in this batch";
            return Err(Refused::new(RefusalCode::Unacceptable, what));
        }
        self.rates.take(device, Way::Carried, self.elapsed()).map_err(Refused::rate)?;
        self.daily.holds(device, Way::Carried, self.elapsed(), length).map_err(Refused::daily)
    }
}

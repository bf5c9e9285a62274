//! `/v1/devices/self`: a device checks in, sees what is held on it, and has it erased.

use super::Fleet;
use super::caller::Caller;
use super::refused::Refused;
use crate::fleet::authority::random;
use crate::fleet::desk::{self, Cursor, Held};
use crate::fleet::fold::{Act, Done, Operation};
use bytes::Bytes;
use perennial_schemas::fleet::{CheckIn, CheckedIn, Erasure, RefusalCode, Ticket};
use perennial_schemas::{Document, Timestamp};
use std::sync::Arc;

/// Reports that are shown at once: with their longest details they are 4 MB, below what a device reads.
const SHOWN: usize = 500;

/// `PUT`.
pub(super) async fn check_in(fleet: &Arc<Fleet>, caller: Caller, body: Bytes) -> Result<CheckedIn, Refused> {
    let said = CheckIn::parse(&body)?;
    let who = caller.who(None)?;
    let ticket = Ticket::of_bytes(&random().map_err(|_| RefusalCode::Internal)?);
    let operation = Operation { who, act: Act::CheckIn(Box::new(said), ticket.clone()) };
    match fleet.writer.write(vec![operation]).await?.pop() {
        Some(Ok(Done::CheckedIn { acknowledged })) => {
            Ok(CheckedIn::new(ticket, acknowledged, fleet.check_in))
        }
        Some(Err(code)) => Err(code.into()),
        _ => Err(RefusalCode::Internal.into()),
    }
}

/// `GET`.
pub(super) async fn show(
    fleet: &Arc<Fleet>,
    caller: Caller,
    query: Option<&str>,
    now: Timestamp,
) -> Result<Held, Refused> {
    let who = caller.who(None)?;
    let before = query.map(before).transpose()?;
    let fleet = Arc::clone(fleet);
    super::blocking(move || {
        let held = desk::show(fleet.store.as_ref(), who.device(), before, SHOWN)?;
        fleet.may(&who, held.as_ref().map(|held| &held.row), now)?;
        fleet.writer.seen(who.device());
        held.ok_or_else(|| RefusalCode::NotEnrolled.into())
    })
    .await?
}

/// `before=EPOCH.SEQUENCE`, and nothing else.
fn before(query: &str) -> Result<Cursor, Refused> {
    let odd = "ask for /v1/devices/self, or /v1/devices/self?before=EPOCH.SEQUENCE as `next` says it";
    let cursor = query.strip_prefix("before=").and_then(|text| text.parse().ok());
    cursor.ok_or_else(|| Refused::new(RefusalCode::Unacceptable, odd))
}

/// `DELETE`.
pub(super) async fn erase(fleet: &Arc<Fleet>, caller: Caller, now: Timestamp) -> Result<Erasure, Refused> {
    let who = caller.who(None)?;
    let fleet = Arc::clone(fleet);
    super::blocking(move || {
        let row = desk::row(fleet.store.as_ref(), who.device())?;
        fleet.may(&who, row.as_ref(), now)?;
        let receipt = desk::erase(fleet.store.as_ref(), who.device(), desk::DEVICE, now)?;
        fleet.figures.erased.inc();
        receipt.ok_or_else(|| RefusalCode::NotEnrolled.into())
    })
    .await?
}

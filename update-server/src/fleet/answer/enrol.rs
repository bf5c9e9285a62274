//! `POST /v1/enrol`: a fleet certificate for a key that the device just made, by its factory certificate or by the fleet
//! certificate that it has.

use super::Fleet;
use super::caller::Caller;
use super::refused::Refused;
use crate::fleet::authority::{AuthorityError, random, requested_key};
use crate::fleet::fold::{Act, Done, Enrol, Operation, Who};
use crate::fleet::identity::Identity;
use bytes::Bytes;
use perennial_schemas::fleet::{DeviceKey, Enrolled, Enrolment, Kind, RefusalCode, Ticket};
use perennial_schemas::{Document, Timestamp};
use std::sync::Arc;

pub(super) async fn enrol(
    fleet: &Arc<Fleet>,
    caller: Caller,
    body: Bytes,
    now: Timestamp,
) -> Result<Enrolled, Refused> {
    let Caller::Device(identity) = caller else { return Err(RefusalCode::NotOffered.into()) };
    let asked = Enrolment::parse(&body)?;
    let issued = {
        let (fleet, identity) = (Arc::clone(fleet), Arc::clone(&identity));
        super::blocking(move || {
            let authority = fleet.authority.load();
            let authority = authority.as_ref().as_ref().ok_or(RefusalCode::NotOffered)?;
            let odd = |error: String| Refused::new(RefusalCode::Unacceptable, error);
            let (spki, key) = requested_key(&asked.request).map_err(odd)?;
            refuse_guessable(&fleet, &identity, &key)?;
            authority.issue(&identity.name, &spki, fleet.certificate_days, now).map_err(|error| {
                tracing::error!(%error, "no fleet certificate can be made");
                match error {
                    AuthorityError::Expired(_) => Refused::from(RefusalCode::NotOffered),
                    _ => RefusalCode::Internal.into(),
                }
            })
        })
        .await??
    };
    let ticket = Ticket::of_bytes(&random().map_err(|_| RefusalCode::Internal)?);
    let life = issued.credential.not_after.unix() - now.unix();
    let act = Act::Enrol(Box::new(Enrol { credential: issued.credential, ticket: ticket.clone() }));
    let device = identity.name.device.clone();
    match fleet.writer.write(vec![Operation { who: Who::Device(identity), act }]).await?.pop() {
        Some(Ok(Done::Enrolled { epoch })) => Ok(Enrolled {
            format: Enrolled::FORMAT.into(),
            requires: Vec::new(),
            device,
            chain: issued.chain,
            renew_after: now.plus_seconds(life / 3 * 2),
            epoch,
            ticket,
        }),
        Some(Err(code)) => Err(code.into()),
        _ => Err(RefusalCode::Internal.into()),
    }
}

/// The key that asks counts where it is a factory key: a fleet key that can be guessed is replaced by its renewal.
fn refuse_guessable(fleet: &Fleet, identity: &Identity, new: &DeviceKey) -> Result<(), Refused> {
    let mut keys = vec![("new", new)];
    if identity.name.kind == Kind::Factory {
        keys.push(("factory", &identity.public));
    }
    let Some((which, how)) = fleet.weak.how(identity, &keys).map_err(|_| RefusalCode::Unavailable)? else {
        return Ok(());
    };
    // How is for the maker's eyes.
    tracing::warn!(device = %identity.name.device, which, how, "a key that can be guessed is refused");
    Err(Refused::new(RefusalCode::KeyWeak, format!("the {which} key can be guessed")))
}

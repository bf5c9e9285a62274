//! What the fleet plane answers: five requests, each of one device, and nothing of the admin plane.

mod admit;
mod body;
mod caller;
mod enrol;
mod own;
mod refused;
mod reports;

pub(crate) use admit::Bodies;
pub(crate) use body::Pace;
pub(crate) use caller::Peer;
pub(crate) use refused::Refused;

use super::authority::Authority;
use super::figures::Figures;
use super::rate::{Rates, Way};
use super::trust::Trust;
use super::weak::Weak;
use super::writer::Writer;
use crate::config::fleet::Network;
use crate::io::Now;
use crate::plane::guard::Watch;
use crate::store::Store;
use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use perennial_schemas::Document;
use perennial_schemas::fleet::{CheckIn, Enrolment, RefusalCode, ReportBatch, ReportQueue};
use serde::Serialize;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// What all serving threads share.
pub(crate) struct Fleet {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Writer,
    /// Whose devices these are; `None` where lab mode is all that is served.
    pub(crate) trust: Option<Arc<Trust>>,
    /// Who signs fleet certificates; `None` where nobody does.
    pub(crate) authority: ArcSwap<Option<Authority>>,
    pub(crate) weak: Weak,
    pub(crate) rates: Rates,
    /// Bytes of reports.
    pub(crate) daily: Rates,
    pub(crate) proxies: Vec<Network>,
    pub(crate) lab: bool,
    pub(crate) certificate_days: u32,
    /// Seconds.
    pub(crate) check_in: u32,
    pub(crate) pace: Pace,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) now: Now,
    /// What the rates are counted from.
    pub(crate) began: Instant,
}

impl Fleet {
    /// Milliseconds since the start, for the rates.
    fn elapsed(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// One of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Enrol,
    CheckIn,
    Show,
    Erase,
    Reports,
    Batch,
}

impl Asked {
    /// Which one; else how to refuse.
    fn of(method: &Method, path: &str) -> Result<Self, (RefusalCode, &'static str)> {
        let known: &[(Method, Self)] = match path {
            "/v1/enrol" => &[(Method::POST, Self::Enrol)],
            "/v1/devices/self" => {
                &[(Method::PUT, Self::CheckIn), (Method::GET, Self::Show), (Method::DELETE, Self::Erase)]
            }
            "/v1/reports" => &[(Method::POST, Self::Reports)],
            "/v1/reports/batch" => &[(Method::POST, Self::Batch)],
            _ => return Err((RefusalCode::NotFound, "")),
        };
        let allowed = if known.len() > 1 { "GET, PUT, DELETE" } else { "POST" };
        let found = known.iter().find(|(one, _)| one == method);
        found.map(|(_, asked)| *asked).ok_or((RefusalCode::Method, allowed))
    }

    /// How long its body may be, in bytes.
    fn limit(self) -> u64 {
        match self {
            Self::Enrol => Enrolment::MAX_LENGTH,
            Self::CheckIn => CheckIn::MAX_LENGTH,
            Self::Show | Self::Erase => 0,
            Self::Reports => ReportQueue::MAX_LENGTH,
            Self::Batch => ReportBatch::MAX_LENGTH,
        }
    }
}

/// An answer without its body's frame.
pub(crate) type Answer = Response<Bytes>;

/// Answers a request of `peer`.
pub(crate) async fn answer(
    fleet: &Arc<Fleet>,
    peer: &Peer,
    watch: &Rc<Watch>,
    request: Request<Incoming>,
) -> Answer {
    let asked = match Asked::of(request.method(), request.uri().path()) {
        Ok(asked) => asked,
        Err((code, allowed)) => {
            let mut response = refuse(fleet, code.into());
            if !allowed.is_empty() {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            }
            return response;
        }
    };
    match fulfil(fleet, peer, watch, asked, request).await {
        Ok(text) => json(StatusCode::OK, text),
        Err(refused) => refuse(fleet, refused),
    }
}

async fn fulfil(
    fleet: &Arc<Fleet>,
    peer: &Peer,
    watch: &Rc<Watch>,
    asked: Asked,
    request: Request<Incoming>,
) -> Result<Vec<u8>, Refused> {
    let now = (fleet.now)();
    let (head, body) = request.into_parts();
    let caller = fleet.caller(peer, &head.headers, now)?;
    if let Some(device) = caller.device() {
        fleet.rates.take(device, Way::Itself, fleet.elapsed()).map_err(Refused::rate)?;
        tracing::debug!(%device, ?asked, "a device asks");
    }
    let place = admit::admit(fleet, &caller, asked, &body, now).await?;
    let body = {
        let _receiving = watch.receiving();
        let progress = place.as_ref().map(admit::Place::progress);
        let whole = body::receive(body, asked.limit(), fleet.pace, progress);
        match &place {
            Some(place) => place.hold(whole).await?,
            None => whole.await?,
        }
    };
    match asked {
        Asked::Enrol => text(&enrol::enrol(fleet, caller, body, now).await?),
        Asked::CheckIn => text(&own::check_in(fleet, caller, body).await?),
        Asked::Show => text(&own::show(fleet, caller, head.uri.query(), now).await?),
        Asked::Erase => text(&own::erase(fleet, caller, now).await?),
        Asked::Reports => text(&reports::queue(fleet, caller, body).await?),
        Asked::Batch => text(&reports::batch(fleet, caller, body, now).await?),
    }
}

/// Runs what takes the processor, the disk or the store for a while on a thread of its own.
async fn blocking<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    tokio::task::spawn_blocking(what).await.map_err(|_| RefusalCode::Internal.into())
}

fn text<T: Serialize>(value: &T) -> Result<Vec<u8>, Refused> {
    serde_json::to_vec(value).map_err(|_| RefusalCode::Internal.into())
}

fn refuse(fleet: &Fleet, refused: Refused) -> Answer {
    fleet.figures.refused(refused.code());
    let status = StatusCode::from_u16(refused.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, serde_json::to_vec(&refused.refusal).unwrap_or_default());
    if let Some(seconds) = refused.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn json(status: StatusCode, text: Vec<u8>) -> Answer {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

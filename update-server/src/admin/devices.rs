//! The admin plane's answers about devices: which there are, what is held on one, why one isn't updating, and to revoke one,
//! lift its quarantine, or erase it.

use super::Desk;
use super::routes::{Part, Refusal, Refused, allow, blocking, body_of, fresh, problem, within};
use crate::audit::why;
use crate::fleet::desk::{self, Filter, Held, Listed, Page};
use crate::fleet::lists::ByMaker;
use crate::fleet::quarantine::Quarantine;
use crate::fleet::releases::Releases;
use crate::fleet::row::{Row, Standing};
use crate::generation;
use crate::rollout::desk::places;
use crate::rollout::offers::Offers;
use crate::state::State as Place;
use crate::store::{Store, StoreError};
use crate::tokens::Right;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::DeviceId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Devices of a page, at most.
pub(crate) const DEVICES: usize = 1_000;
/// Reports that are shown of a device, at most.
pub(crate) const REPORTS: usize = 1_000;
/// Reports that are looked at to explain a device: the last one is told.
const NEWEST: usize = 1;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, erase))
        .routes(routes!(explain))
        .routes(routes!(revoke))
        .routes(routes!(lift))
}

/// A page of devices.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Devices {
    /// By id.
    #[schema(value_type = Vec<Object>)]
    pub(crate) devices: Vec<Listed>,
    /// Where there may be more: what `after` is for the next page.
    #[schema(value_type = Option<String>)]
    pub(crate) next: Option<DeviceId>,
    /// Those whose records can't be read: of them nothing can be said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) damaged: Vec<String>,
}

impl From<Page> for Devices {
    fn from(page: Page) -> Self {
        Self { devices: page.devices, next: page.next, damaged: page.damaged }
    }
}

/// Why a device isn't updating.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Explained {
    /// The device.
    #[schema(value_type = String)]
    pub(crate) device: DeviceId,
    /// What it counts as: `enrolled`, `quarantined`, `revoked`, `lab`.
    #[schema(value_type = String)]
    pub(crate) standing: Standing,
    /// The reasons that the server knows, the weightiest first; empty where nothing speaks against it.
    pub(crate) reasons: Vec<String>,
    /// Where it stands in the rollouts of newer releases, one sentence each.
    pub(crate) rollouts: Vec<String>,
    /// What can be done about a quarantine, with the commands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ways: Vec<String>,
}

/// Everything that is held on a device, and what its quarantine means.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    held: Held,
    /// Where it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<Quarantine>,
}

impl From<Held> for Shown {
    fn from(held: Held) -> Self {
        Self { quarantine: Quarantine::of(&held.device, &held.row), held }
    }
}

/// That a device is revoked.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// The device.
    #[schema(value_type = String)]
    pub(crate) device: DeviceId,
    /// False where it was revoked before.
    pub(crate) changed: bool,
}

/// That a device's quarantine is lifted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Lifted {
    /// The device.
    #[schema(value_type = String)]
    pub(crate) device: DeviceId,
    /// False where nothing was to be lifted.
    pub(crate) changed: bool,
}

/// Why somebody revokes a device, and whether it may be one that isn't known.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    /// In words.
    #[schema(schema_with = why::schema)]
    pub(crate) why: String,
    /// Also one that this server doesn't know, as after older records were restored: it can't enrol then.
    #[serde(default)]
    pub(crate) unknown: bool,
}

/// Why somebody lifts a device's quarantine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// In words.
    #[schema(schema_with = why::schema)]
    pub(crate) why: String,
}

/// What may be wrong with a request about a device.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody knows it.
    #[error("no device {0} is known")]
    Unknown(DeviceId),
    /// Nobody knows it, and it is to be revoked.
    #[error("no device {0} is known, and nothing was changed")]
    Unheard(DeviceId),
    /// A reason that isn't one.
    #[error("a reason has 1 to {} characters, in one line", why::LENGTH)]
    Why,
}

/// Why a device isn't updating, as far as this server knows.
pub(crate) fn explained(
    store: &dyn Store,
    place: &Place,
    by_maker: &ByMaker,
    device: DeviceId,
    now: Timestamp,
) -> Result<Explained, DeviceError> {
    let held = desk::show(store, &device, None, NEWEST)?;
    let held = held.ok_or_else(|| DeviceError::Unknown(device.clone()))?.with(by_maker);
    let releases = Releases::read(store, &place.blobs(), &Releases::default())?;
    let offers = match generation::served(store)? {
        Some(served) => Offers::read(&served.generation, &Offers::default(), &place.blobs()),
        None => Offers::default(),
    };
    let rollouts = places(store, &offers, &device, &held.row, now)?;
    let mut reasons: Vec<String> = runs_withdrawn(&held.row, &offers).into_iter().collect();
    reasons.extend(desk::explain(&held, &releases, now));
    let ways = Quarantine::of(&device, &held.row).map(|quarantine| quarantine.ways).unwrap_or_default();
    Ok(Explained { device, standing: held.standing, reasons, rollouts, ways })
}

/// That a device runs what its maker withdrew, and until when: a device never goes back by itself.
fn runs_withdrawn(row: &Row, offers: &Offers) -> Option<String> {
    let last = row.check_in.as_ref()?;
    let why = offers.withdrawn.get(&(row.product.clone(), last.manifest?))?;
    let planned = offers.offered.values().map(|it| (&it.product, &it.version, &it.hardware, &it.channels));
    let plain = offers.plain.values().map(|it| (&it.product, &it.version, &it.hardware, &it.channels));
    let newer = planned.chain(plain).filter(|(product, version, hardware, channels)| {
        **product == row.product
            && **version > last.version
            && hardware.contains(&row.hardware)
            && channels.contains(&last.channel)
    });
    let next = match newer.map(|(_, version, ..)| version).max() {
        Some(newer) => format!("its channel {} offers {newer}", last.channel),
        None => {
            format!("its channel {} offers none yet, its signers must publish one", last.channel)
        }
    };
    let version = &last.version;
    Some(format!(
        "it runs {version}, which its maker withdrew ({why}); it goes on with that until it has a newer release: {next}"
    ))
}

/// Revokes a device, with the reason in the audit.
pub(crate) fn revoked(
    store: &dyn Store,
    device: DeviceId,
    by: &str,
    Revocation { why, unknown }: &Revocation,
    now: Timestamp,
) -> Result<Revoked, DeviceError> {
    checked(why)?;
    match desk::revoke(store, &device, by, why, *unknown, now)? {
        Some(changed) => Ok(Revoked { device, changed }),
        None => Err(DeviceError::Unheard(device)),
    }
}

/// Lifts a device's quarantine, with the reason in the audit.
pub(crate) fn lifted(
    store: &dyn Store,
    device: DeviceId,
    by: &str,
    why: &str,
    now: Timestamp,
) -> Result<Lifted, DeviceError> {
    checked(why)?;
    match desk::lift(store, &device, by, why, now)? {
        Some(changed) => Ok(Lifted { device, changed }),
        None => Err(DeviceError::Unknown(device)),
    }
}

fn checked(why: &str) -> Result<(), DeviceError> {
    if why::is_reason(why) { Ok(()) } else { Err(DeviceError::Why) }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Devices after this id.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    after: Option<String>,
    /// At most so many, 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Of this product only.
    product: Option<String>,
    /// Of this standing only: `enrolled`, `quarantined`, `revoked`, `lab`.
    #[param(pattern = "^(enrolled|quarantined|revoked|lab)$")]
    standing: Option<String>,
    /// Only those with something odd.
    #[serde(default)]
    flagged: bool,
}

/// Devices by id, page by page.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", params(Asked), security(("token" = ["viewer"])),
    responses((status = 200, body = Devices), Refused))]
async fn list(
    State(desk): State<Desk>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let hint = "write it like /api/v1/devices?product=thermostat&standing=quarantined&after=ID&limit=100";
    let bad = |what: &str| problem(StatusCode::BAD_REQUEST, what, hint);
    let Query(asked) = asked.map_err(|error| bad(&error.body_text()))?;
    let standing =
        asked.standing.as_deref().map(|word| standing(word).ok_or_else(|| bad("no such standing")));
    let Asked { product, flagged, .. } = asked;
    let filter = Filter { product, standing: standing.transpose()?, flagged, by_maker: desk.by_maker() };
    let after = asked.after.map(|text| id(&text)).transpose()?;
    let limit = within("limit", asked.limit, 1..=DEVICES, hint)?;
    let page = blocking(move || desk::list(desk.keeper.store(), &filter, after.as_ref(), limit)).await?;
    Ok(fresh(Devices::from(page)))
}

/// The standing of that name.
pub(crate) fn standing(word: &str) -> Option<Standing> {
    Standing::ALL.into_iter().find(|(_, name)| *name == word).map(|(standing, _)| standing)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ShownAsked {
    /// At most so many of its reports, the newest first, 100 unless given.
    #[param(minimum = 0, maximum = 1000)]
    reports: Option<usize>,
    /// Reports before this one only, as `next` says it: `EPOCH.SEQUENCE`.
    #[param(pattern = "^[0-9]{1,9}\\.[0-9]{1,19}$")]
    before: Option<String>,
}

/// Everything that is held on a device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "devices", security(("token" = ["viewer"])),
    params(("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$", description = "The device's id"), ShownAsked),
    responses((status = 200, body = Object), Refused))]
async fn show(
    State(desk): State<Desk>,
    Part(device): Part<String>,
    shown: Result<Query<ShownAsked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let hint = "write it like /api/v1/devices/ID?reports=100&before=1.42";
    let bad = |what: &str| problem(StatusCode::BAD_REQUEST, what, hint);
    let Query(shown) = shown.map_err(|error| bad(&error.body_text()))?;
    let before = shown.before.as_deref().map(str::parse).transpose().map_err(bad)?;
    let (device, limit) = (id(&device)?, within("reports", shown.reports, 0..=REPORTS, hint)?);
    let (asked, by_maker) = (device.clone(), desk.by_maker());
    let held = blocking(move || desk::show(desk.keeper.store(), &asked, before, limit)).await?;
    held.map(|held| fresh(Shown::from(held.with(&by_maker))))
        .ok_or_else(|| refused(&DeviceError::Unknown(device)))
}

/// Why a device isn't updating, as far as the server knows.
#[utoipa::path(get, path = "/api/v1/devices/{id}/explain", tag = "devices", security(("token" = ["viewer"])),
    params(("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$", description = "The device's id")),
    responses((status = 200, body = Explained), Refused))]
async fn explain(
    State(desk): State<Desk>,
    Part(device): Part<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    allow(&desk, &headers, Right::Viewer)?;
    let device = id(&device)?;
    let now = (desk.now)();
    let explain = move || explained(desk.keeper.store(), desk.keeper.place(), &desk.by_maker(), device, now);
    let explained = super::routes::work(explain).await?;
    explained.map(fresh).map_err(|error| refused(&error))
}

/// Revokes a device: nothing of the fleet plane opens for it any more. With `unknown` also one that isn't known.
#[utoipa::path(post, path = "/api/v1/devices/{id}/revoke", tag = "devices", security(("token" = ["operator"])),
    params(("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$", description = "The device's id")), request_body = Revocation,
    responses((status = 200, body = Revoked), Refused))]
async fn revoke(
    State(desk): State<Desk>,
    Part(device): Part<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let actor = allow(&desk, &headers, Right::Operator)?;
    let (device, revocation): (_, Revocation) = (id(&device)?, body_of(body).await?);
    let now = (desk.now)();
    let revoked =
        super::routes::work(move || revoked(desk.keeper.store(), device, &actor, &revocation, now)).await?;
    revoked.map(fresh).map_err(|error| refused(&error))
}

/// Lifts a device's quarantine: what spoke for a copied identity is taken off, and its next check-in begins anew.
#[utoipa::path(post, path = "/api/v1/devices/{id}/lift", tag = "devices", security(("token" = ["operator"])),
    params(("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$", description = "The device's id")), request_body = Reason,
    responses((status = 200, body = Lifted), Refused))]
async fn lift(
    State(desk): State<Desk>,
    Part(device): Part<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let actor = allow(&desk, &headers, Right::Operator)?;
    let (device, reason): (_, Reason) = (id(&device)?, body_of(body).await?);
    let now = (desk.now)();
    let lifted =
        super::routes::work(move || lifted(desk.keeper.store(), device, &actor, &reason.why, now)).await?;
    lifted.map(fresh).map_err(|error| refused(&error))
}

/// Erases a device: its row, its reports, and by which keys it was known. The answer is the receipt.
#[utoipa::path(delete, path = "/api/v1/devices/{id}", tag = "devices", security(("token" = ["operator"])),
    params(("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$", description = "The device's id")),
    responses((status = 200, body = Object), Refused))]
async fn erase(
    State(desk): State<Desk>,
    Part(device): Part<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let actor = allow(&desk, &headers, Right::Operator)?;
    let device = id(&device)?;
    let (now, asked) = ((desk.now)(), device.clone());
    let erased = blocking(move || desk::erase(desk.keeper.store(), &asked, &actor, now)).await?;
    erased.map(fresh).ok_or_else(|| refused(&DeviceError::Unknown(device)))
}

fn id(text: &str) -> Result<DeviceId, Refusal> {
    let hint = "write the id as `perennial-server device list` shows it";
    text.parse().map_err(|_| problem(StatusCode::BAD_REQUEST, "that can't be a device's id", hint))
}

fn refused(error: &DeviceError) -> Refusal {
    let status = match error {
        DeviceError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        DeviceError::Unknown(_) | DeviceError::Unheard(_) => StatusCode::NOT_FOUND,
        DeviceError::Why => StatusCode::UNPROCESSABLE_ENTITY,
    };
    problem(status, &error.to_string(), error.hint())
}

impl DeviceError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Store(error) => error.hint().unwrap_or("look at the server's log"),
            Self::Unknown(_) => "`perennial-server device list` shows those that are",
            Self::Unheard(_) => {
                "`perennial-server device list` shows those that are; --unknown (`unknown` over HTTP) revokes it all the same, as after older records were restored"
            }
            Self::Why => "say in a few words why; the audit keeps them",
        }
    }
}

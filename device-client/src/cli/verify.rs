//! `support verify`: what a support page says, compared with the record that the maker signed. For anybody: it needs the
//! maker's root and nothing else, keeps nothing, and trusts no server.

mod updates;

use std::fmt;
use std::path::PathBuf;

use perennial_device_core::crypto::Ring;
use perennial_device_core::lookup::{LookUp, LookedUp};
use perennial_device_core::port::Fetch;
use perennial_device_core::session::SessionError;
use perennial_schemas::limits::ROOT_LENGTH;
use perennial_schemas::report::FailureCode;
use perennial_schemas::support::{Summary, Support, Update};
use perennial_schemas::{Date, Document, Json, ProductName, Sha256Digest, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{CliError, Io, REFUSED};
use crate::differences::{Difference, differences};
use crate::error::chain;
use crate::fetch::{Place, Source};
use crate::files::read_limited;
use crate::http::{HttpClient, HttpOptions, Proxies, Roots, Url};

/// Days that a page may be behind: it is made anew each day, and caches keep it for some hours.
const PAGE_DAYS: i64 = 2;
/// What a server adds to the summary from the releases, which the record says nothing of.
const UPDATES: &str = "updates";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The page (`https://updates.example/support/thermostat`), its summary.json, or a file saved from there.
    #[arg(value_name = "URL-OR-FILE")]
    page: String,
    /// The maker's root metadata (N.root.json), from somebody that you trust.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// Where the signed record comes from: an address, a folder or a bundle; without it the page's own server.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A PEM file with the certificates that TLS believes, in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a page says, against what was signed.
#[derive(Debug, Serialize)]
struct Verified {
    verdict: &'static str,
    product: ProductName,
    as_of: Date,
    /// The signed record.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Record>,
    differences: Vec<Difference>,
    /// Why the updates on the page weren't compared with the signed releases, where they weren't.
    #[serde(skip_serializing_if = "Option::is_none")]
    updates_not_compared: Option<String>,
    /// Why it can't be told, where nothing differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<String>,
}

#[derive(Debug, Serialize)]
struct Record {
    sequence: u64,
    sha256: Sha256Digest,
    guaranteed_until: Date,
    sentence: String,
    signed_until: Timestamp,
}

/// A page as it was read.
struct Page {
    value: Value,
    product: ProductName,
    as_of: Date,
}

/// What the maker signed of a product.
struct Signed {
    record: LookedUp,
    /// The updates, where the page lists any; or why they can't be told.
    updates: Option<Result<Vec<Update>, String>>,
}

/// Where the page is, and what it is said to be about.
struct Address {
    summary: Url,
    server: Url,
    product: Option<ProductName>,
}

pub(super) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<u8, CliError> {
    let now = io.now();
    let client = client(arguments, io)?;
    let hint = "take the N.root.json that the maker hands out, from somebody that you trust";
    let root =
        read_limited(&arguments.root, ROOT_LENGTH).map_err(|error| CliError::with_hint(&error, hint))?;
    let place = Place::parse(&arguments.page)
        .map_err(|error| CliError::with_hint(&error, "give the address of a support page, or a file"))?;
    let (page, server, stale) = match place {
        Place::Server(url) => {
            let address = Address::of(&url)?;
            let page = fetch(&client, &address)?;
            let stale = is_stale(page.as_of, now.date());
            (page, Some(Place::Server(address.server)), stale)
        }
        Place::Path(path) => {
            let text = read_limited(&path, Summary::MAX_LENGTH);
            let text = text.map_err(|error| CliError::with_hint(&error, "save the page's summary.json"))?;
            let page = Page::read(&text, None)?;
            // A file may be as old as it likes, and no younger than today.
            let stale = page.as_of.days() > now.date().days() + 1;
            (page, None, stale)
        }
    };
    let server = match &arguments.server {
        Some(server) => Some(
            Place::parse(server)
                .map_err(|error| CliError::with_hint(&error, "such as https://updates.example"))?,
        ),
        None => server,
    };
    let server = server.ok_or_else(|| {
        CliError::new(
            "a file does not say which server has the signed record",
            "name it with --server URL, or a folder",
        )
    })?;
    let mut source = Source::open(&server, &client)
        .map_err(|error| CliError::with_hint(&error, "name a server, a folder or a bundle with --server"))?;
    let (signed, doubt) = signed(&mut source, &root, &page, now)?;
    let mut verified = Verified::of(&page, signed.as_ref());
    if stale {
        verified.differences.insert(0, other_day(page.as_of, now.date()));
    }
    verified.judge(doubt);
    let status = verified.status();
    io.report(arguments.json, &verified)?;
    Ok(status)
}

fn client(arguments: &Arguments, io: &Io<'_>) -> Result<HttpClient, CliError> {
    let roots = arguments.ca.clone().map_or(Roots::System, Roots::File);
    let hint = "name a PEM file with --ca, and proxies as http://host:port";
    let proxies = Proxies::from_variables(|name| (io.variable)(name));
    let proxies = proxies.map_err(|error| CliError::with_hint(&error, hint))?;
    let options = HttpOptions { roots, proxies, interrupt: io.interrupt.clone(), ..HttpOptions::default() };
    HttpClient::new(options).map_err(|error| CliError::with_hint(&error, hint))
}

impl Address {
    /// `…/support/P`, a page below it, or a `.json` anywhere.
    fn of(url: &Url) -> Result<Self, CliError> {
        let unusable =
            |error: &dyn std::error::Error| CliError::with_hint(error, "give the address of a support page");
        let path = url.path().split('?').next().unwrap_or("/");
        let at =
            |path: &str| format!("{}{path}", url.origin()).parse::<Url>().map_err(|error| unusable(&error));
        let (before, below) = path.split_once("/support/").unwrap_or(("", ""));
        let product = below.split('/').next().and_then(|name| name.parse().ok());
        let server = at(&format!("{before}/"))?;
        if path.ends_with(".json") {
            return Ok(Self { summary: at(path)?, server, product });
        }
        let Some(product): Option<ProductName> = product else {
            let what = format!("{url} is no product's support page");
            return Err(CliError::new(what, "such as https://updates.example/support/thermostat"));
        };
        let summary = at(&format!("{before}/support/{product}/summary.json"))?;
        Ok(Self { summary, server, product: Some(product) })
    }
}

fn fetch(client: &HttpClient, address: &Address) -> Result<Page, CliError> {
    let hint = "check the address in a browser; the page's JSON may also be saved and given as a file";
    let text = client.get_whole(&address.summary, Summary::MAX_LENGTH);
    let text = text.map_err(|error| CliError::with_hint(&error, hint))?;
    let text = text.ok_or_else(|| CliError::new(format!("{} is not there", address.summary), hint))?;
    Page::read(&text, address.product.clone())
}

impl Page {
    /// Reads it without believing it: what it says of itself is compared, field by field.
    fn read(text: &[u8], product: Option<ProductName>) -> Result<Self, CliError> {
        let hint = "it must be the summary.json of a product's support page";
        let no = |why: &str| CliError::new(format!("this is no support summary: {why}"), hint);
        let json = Json::parse(text).map_err(|error| no(&error.to_string()))?;
        match json.get("format").and_then(Json::as_str) {
            Some(format) if format == Summary::FORMAT => {}
            _ => return Err(no("its format is another one")),
        }
        let value: Value = serde_json::from_slice(text).map_err(|error| no(&error.to_string()))?;
        let as_of = value["as_of"].as_str().and_then(|date| date.parse().ok());
        let own = || value["record"]["product"].as_str().and_then(|name| name.parse().ok());
        let product = product.or_else(own).ok_or_else(|| no("it names no product"))?;
        Ok(Self { as_of: as_of.ok_or_else(|| no("it names no day"))?, product, value })
    }
}

/// What was signed, verified from the root on; and what keeps it from being surely the newest.
///
/// Metadata that has expired is read as of the newest offline signature: then the record is signed, and perhaps not the
/// last word.
fn signed(
    source: &mut dyn Fetch,
    root: &[u8],
    page: &Page,
    now: Timestamp,
) -> Result<(Option<Signed>, Option<String>), CliError> {
    let failed = |error: &SessionError| {
        let hint =
            "nothing can be told without the signed record: check --root and --server, or try again later";
        CliError::with_hint(error, hint)
    };
    let path = Support::path(&page.product)
        .map_err(|error| CliError::with_hint(&error, "check the product's name"))?;
    let mut look = |now| -> Result<Option<Signed>, SessionError> {
        let mut look = LookUp::open(source, root, now, &Ring)?;
        let Some(record) = look.get(&path, Support::MAX_LENGTH)? else { return Ok(None) };
        let lists = page.value.get(UPDATES).is_some();
        let updates = lists.then(|| updates::signed(&mut look, &page.product, &record.target.role));
        Ok(Some(Signed { record, updates }))
    };
    match look(now) {
        Ok(found) => Ok((found, None)),
        Err(error) if error.code() == FailureCode::Expired => {
            let found = look(Timestamp::EPOCH).map_err(|_| failed(&error))?;
            Ok((found, Some(chain(&error))))
        }
        Err(error) => Err(failed(&error)),
    }
}

impl Verified {
    fn of(page: &Page, signed: Option<&Signed>) -> Self {
        let (product, as_of) = (page.product.clone(), page.as_of);
        let empty = Self {
            verdict: "",
            product,
            as_of,
            record: None,
            differences: Vec::new(),
            updates_not_compared: None,
            doubt: None,
        };
        let plain = |words: String| Difference { field: "record".into(), page: None, record: None, words };
        let Some(signed) = signed else {
            let words = format!(
                "no role of the maker vouches for a support record of {}: nothing on the page is signed",
                page.product
            );
            return Self { differences: vec![plain(words)], ..empty };
        };
        let Signed { record: signed, updates } = signed;
        let support = match Support::parse(&signed.bytes) {
            Ok(support) if support.product == page.product => support,
            Ok(other) => {
                let words = format!("the signed record is that of {}", other.product);
                return Self { differences: vec![plain(words)], ..empty };
            }
            Err(error) => return Self { doubt: Some(chain(&error)), ..empty },
        };
        let sha256 = perennial_schemas::Digest::sha256(&Ring, &signed.bytes);
        // The page's word holds as long as every role on the way to the record does.
        let expires = signed.validity.offline_until().unwrap_or(signed.target.expires);
        let lapsed = match expires.date() {
            // On that day it depends on the hour at which the page was made.
            day if day == as_of => page.value["record"]["lapsed"] == Value::Bool(true),
            day => day < as_of,
        };
        let own = Summary::of(&support, sha256, as_of, lapsed);
        let (mut shown, mut updates_not_compared) = (page.value.clone(), None);
        let mut whole = match serde_json::to_value(&own) {
            Ok(whole) => whole,
            Err(error) => return Self { doubt: Some(chain(&error)), ..empty },
        };
        match updates.as_ref().map(|updates| updates.as_ref().map(|updates| serde_json::json!(updates))) {
            Some(Ok(updates)) => whole[UPDATES] = updates,
            Some(Err(why)) => {
                updates_not_compared = Some(why.clone());
                shown.as_object_mut().and_then(|fields| fields.remove(UPDATES));
            }
            None => {}
        }
        let mut found = differences(&shown, &whole);
        if let Err(error) = support.is_backed_by(&signed.annulments) {
            found.insert(0, plain(format!("the signed record itself breaks a rule: {error}")));
        }
        let record = Record {
            sequence: support.sequence,
            sha256,
            guaranteed_until: own.standing.guaranteed_until,
            sentence: own.sentence,
            signed_until: expires,
        };
        Self { record: Some(record), differences: found, updates_not_compared, ..empty }
    }

    fn judge(&mut self, doubt: Option<String>) {
        self.doubt = self.doubt.take().or(doubt);
        self.verdict = match (self.differences.is_empty(), &self.doubt) {
            (false, _) => "differs",
            (true, Some(_)) => "unknown",
            (true, None) => "same",
        };
    }

    fn status(&self) -> u8 {
        match self.verdict {
            "same" => 0,
            "differs" => REFUSED,
            _ => super::FAILED,
        }
    }
}

fn is_stale(as_of: Date, today: Date) -> bool {
    !(-PAGE_DAYS..=1).contains(&(as_of.days() - today.days()))
}

fn other_day(as_of: Date, today: Date) -> Difference {
    let (page, today) = (as_of.in_words().to_string(), today.in_words().to_string());
    let words = format!("the day: the page says how things stood on {page}; today is {today}");
    Difference { field: "as_of".into(), page: Some(Value::String(page)), record: None, words }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(record) = &self.record {
            let Record { sequence, sha256, sentence, .. } = record;
            writeln!(
                f,
                "Signed record number {sequence} of {} (sha256 {sha256}), read as of {}:",
                self.product, self.as_of
            )?;
            writeln!(f, "  {sentence}")?;
        }
        if let Some(why) = &self.updates_not_compared {
            writeln!(f, "Not compared: the updates, as the signed releases can't be told: {why}.")?;
        }
        match (self.verdict, &self.doubt) {
            ("same", _) => {
                let of = if self.updates_not_compared.is_some() { " of the record" } else { "" };
                writeln!(f, "Same: the page says what the maker signed, in every field{of}.")
            }
            ("differs", _) => {
                writeln!(f, "Differs: the page does not say what the maker signed.")?;
                self.differences.iter().try_for_each(|difference| writeln!(f, "  - {}", difference.words))
            }
            (_, doubt) => writeln!(
                f,
                "Can't tell: nothing differs, but a newer record may be held back: {}.",
                doubt.as_deref().unwrap_or_default()
            ),
        }
    }
}

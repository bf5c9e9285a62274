//! What stands on a label, in words.

use perennial_schemas::support::{Gtin, State, Support};
use perennial_schemas::{Date, Sha256Digest};

use crate::{LabelError, font};

/// What stands on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The line above the date.
    pub heading: String,
    /// The date, largest of all.
    pub date: String,
    /// What the product is sold as.
    pub name: String,
    /// Lines below it: the designation as marked on the device, maker, GTIN, whether updates install by themselves.
    pub lines: Vec<String>,
    /// The sentence that holds the maker to it; none once support is over.
    pub pledge: Option<&'static str>,
    /// The address of the product's page, as text.
    pub address: String,
    /// The same as the QR code has it.
    pub link: String,
    /// Which record says so.
    pub source: String,
}

impl Label {
    /// What stands on the label of a model as it is sold on `today`. `sha256` is the digest of the record's file, `base` the
    /// public address of the support pages, such as `https://updates.maker.example`.
    ///
    /// # Errors
    /// [`LabelError::Address`]
    pub fn new(record: &Support, sha256: &Sha256Digest, today: Date, base: &str) -> Result<Self, LabelError> {
        let link = link(record, base)?;
        let status = record.status(today, None, false);
        let over = !status.state.is_supported();
        let replaced = record.is_replaced_not_updated();
        let heading = match (status.state, replaced) {
            (State::Ended | State::EndedEarly | State::Ceased, false) => "Security updates ended on",
            (State::Ended | State::EndedEarly | State::Ceased, true) => {
                "Replacement of unsafe units ended on"
            }
            (_, false) => "Security updates until at least",
            (_, true) => "No updates; replaced if unsafe until at least",
        };
        // A maker that ceased after the end has ended nothing early.
        let ended = status.ended_on.filter(|on| over && *on < status.until);
        let date = ended.unwrap_or(status.until);
        Ok(Self {
            heading: heading.into(),
            date: date.in_words().to_string(),
            name: name(record),
            lines: lines(record),
            pledge: (!over).then_some(perennial_schemas::support::words::NEVER_EARLIER),
            address: format!(
                "{}/support/{}",
                base.trim_start_matches("https://").trim_end_matches('/'),
                record.product
            ),
            link,
            source: format!("Record {} {}", record.sequence, &sha256.to_string()[..12]),
        })
    }

    /// The label as one sentence, for those who hear it.
    pub fn description(&self) -> String {
        let lines = self.lines.join(". ");
        let pledge = self.pledge.map(|pledge| format!(" {pledge}")).unwrap_or_default();
        format!(
            "{}: {} {}. {lines}.{pledge} More at {}. {}.",
            self.name, self.heading, self.date, self.link, self.source
        )
    }
}

/// A GS1 Digital Link where there is a GTIN (GS1 Digital Link URI Syntax 1.4, `/01/{gtin}`), else the page's address.
fn link(record: &Support, base: &str) -> Result<String, LabelError> {
    let refused = || LabelError::Address { address: base.into() };
    let plain = base.len() <= 130 && base.bytes().all(|byte| byte.is_ascii_graphic());
    if !base.starts_with("https://") || base.len() <= "https://".len() || !plain {
        return Err(refused());
    }
    let base = base.trim_end_matches('/');
    Ok(match record.model.as_ref().and_then(|model| model.gtins().next()) {
        Some(gtin) => format!("{base}/01/{gtin}"),
        None => format!("{base}/support/{}", record.product),
    })
}

/// The name, where the label's font can write it; otherwise the name of the role, which it always can.
fn name(record: &Support) -> String {
    let name = record.display_name();
    if font::can_write(name) { name.into() } else { record.product.to_string() }
}

fn lines(record: &Support) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(model) = &record.model {
        lines.push(format!("Model {}", model.designation));
        lines.extend(model.gtins().next().as_ref().map(Gtin::printed).map(|gtin| format!("GTIN {gtin}")));
    }
    lines.extend(record.maker.as_ref().map(|maker| maker.party.name.clone()));
    if let Some(model) = record.model.as_ref().filter(|_| !record.is_replaced_not_updated()) {
        let how = if model.automatic_updates { "yes" } else { "no" };
        lines.push(format!("Automatic updates: {how}"));
    }
    lines.retain(|line| font::can_write(line));
    lines
}

//! What a support record would change, as those read it who are to sign it: made from the two records alone.

use std::fmt;

use perennial_schemas::support::words::NEVER_EARLIER;
use perennial_schemas::support::{
    CohortName, Notice, NoticeKind, Promise, Statement, Support, VulnerabilityContact,
};
use perennial_schemas::{Date, ProductName, Timestamp};
use serde::Serialize;

use crate::terminal::quoted;

/// What a record would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SupportChange {
    /// The product.
    pub product: ProductName,
    /// The record's number.
    pub sequence: u64,
    /// What the public reads so far; none before the first record.
    pub sentence_before: Option<String>,
    /// What the public will read.
    pub sentence: String,
    /// The date of every unit, or of each cohort.
    pub dates: Vec<DateChange>,
    /// Everything else that is new, in plain words.
    pub news: Vec<String>,
    /// What everybody who signs it is told.
    pub never_earlier: &'static str,
}

/// A date before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DateChange {
    /// Whose; none for every unit.
    pub cohort: Option<CohortName>,
    /// What people call it.
    pub label: String,
    /// So far; none for what is new.
    pub before: Option<Date>,
    /// From then on.
    pub after: Date,
}

impl SupportChange {
    /// What `after` changes, as it reads on `today`. `lapsed` says whether the signatures on the published record have
    /// expired: the next one renews them.
    pub fn new(before: Option<&Support>, after: &Support, today: Date, lapsed: bool) -> Self {
        let mut news = Vec::new();
        let drafted = after.updated.filter(|at| before.is_none_or(|before| before.updated != Some(*at)));
        news.extend(drafted.and_then(|at| other_day("The record says that it was drafted", at, today)));
        promises(&mut news, before, after, today);
        annulments(&mut news, before, after);
        notices(&mut news, before, after, today);
        described(&mut news, before, after);
        statements(&mut news, before, after);
        Self {
            product: after.product.clone(),
            sequence: after.sequence,
            sentence_before: before.map(|before| before.sentence(today, lapsed)),
            sentence: after.sentence(today, false),
            dates: dates(before, after),
            news,
            never_earlier: NEVER_EARLIER,
        }
    }

    fn moves(&self) -> bool {
        self.dates.iter().any(|date| date.before != Some(date.after))
    }

    /// By an annulment: nothing else makes a date earlier.
    fn takes_back(&self) -> bool {
        self.dates.iter().any(|date| date.before.is_some_and(|before| date.after < before))
    }
}

fn dates(before: Option<&Support>, after: &Support) -> Vec<DateChange> {
    if after.cohorts.is_empty() {
        let before = before.map(Support::guaranteed_until);
        let label = "every unit".into();
        return vec![DateChange { cohort: None, label, before, after: after.guaranteed_until() }];
    }
    let one = |cohort: &perennial_schemas::support::Cohort| DateChange {
        cohort: Some(cohort.name.clone()),
        label: format!("{} ({})", cohort.name, quoted(&cohort.label)),
        // What belongs to no cohort yet has the earliest date.
        before: before
            .filter(|old| old.cohort(&cohort.name).is_some())
            .map(|old| old.until(Some(&cohort.name))),
        after: after.until(Some(&cohort.name)),
    };
    after.cohorts.iter().map(one).collect()
}

/// A day that isn't the one of the review: whoever carries a draft could have set it. `None` for a day as expected.
fn other_day(what: &str, at: Timestamp, today: Date) -> Option<String> {
    let day = at.date();
    let later = if day > today { ", which is LATER than today" } else { "" };
    (day != today).then(|| format!("{what} on {}{later}.", day.in_words()))
}

fn promises(news: &mut Vec<String>, before: Option<&Support>, after: &Support, today: Date) {
    let known = before.map_or(0, |before| before.promises.len());
    for (index, promise) in after.promises.iter().enumerate().skip(known) {
        news.push(format!(
            "Promise {}: {}. Reason: {}",
            index + 1,
            promised(promise),
            quoted(&promise.reason)
        ));
        news.extend(other_day("It says that it was made", promise.made, today));
        if !promise.components.is_empty() {
            news.push(format!("It covers: {}", quoted(&promise.components.join("; "))));
        }
        if let Some(replacement) = &promise.replacement {
            news.push(format!("It can't be updated: {}", quoted(&replacement.rationale)));
            news.push(format!("How to isolate it: {}", quoted(&replacement.isolate)));
            news.push(format!("How it is replaced: {}", quoted(&replacement.terms)));
        }
    }
}

/// `security updates until 30 June 2033, to every unit`
pub fn promised(promise: &Promise) -> String {
    let what = match (&promise.replacement, promise.kinds.len()) {
        (Some(_), _) => "replacement",
        (None, 2) => "security and functionality updates",
        (None, _) => "security updates",
    };
    let whom: Vec<&str> = promise.cohorts.iter().map(CohortName::as_str).collect();
    let whom = if whom.is_empty() { "every unit".into() } else { whom.join(", ") };
    let from = promise.from.map(|from| format!(" from {}", from.in_words())).unwrap_or_default();
    format!("{what}{from} until {}, to {whom}", promise.guaranteed_until.in_words())
}

fn annulments(news: &mut Vec<String>, before: Option<&Support>, after: &Support) {
    let known = |annulment| before.is_some_and(|before| before.annulled.contains(annulment));
    for annulment in after.annulled.iter().filter(|annulment| !known(annulment)) {
        let number = annulment.promise;
        news.push(format!(
            "Promise {number}, until {}, is ANNULLED by root and counts no more. Everybody still sees it. Reason: {}",
            annulment.guaranteed_until.in_words(),
            quoted(&annulment.reason)
        ));
    }
}

fn notices(news: &mut Vec<String>, before: Option<&Support>, after: &Support, today: Date) {
    let known = before.map_or(0, |before| before.notices.len());
    for notice in after.notices.iter().skip(known) {
        news.extend(told(notice));
        news.extend(other_day("It says that it was told", notice.made, today));
    }
}

/// A notice in plain words.
pub fn told(notice: &Notice) -> Vec<String> {
    let whom: Vec<&str> = notice.cohorts.iter().map(CohortName::as_str).collect();
    let whom = if whom.is_empty() { "every unit".into() } else { whom.join(", ") };
    let what = match &notice.kind {
        NoticeKind::Information => "A notice".into(),
        NoticeKind::Vulnerability(open) => format!(
            "The weakness {} ({}), known since {} and not fixed yet",
            quoted(&open.id),
            crate::plain::severity(open.severity),
            open.disclosed.in_words()
        ),
        NoticeKind::EndedEarly { on } => {
            format!("Updates ENDED EARLY, on {}; what was promised stays visible", on.in_words())
        }
        NoticeKind::Ceased { on } => format!("The maker has CEASED, since {}", on.in_words()),
    };
    let mut lines = vec![format!("{what}, for {whom}: {}", quoted(&notice.text))];
    if !notice.advice.is_empty() {
        lines.push(format!("What owners should do: {}", quoted(&notice.advice)));
    }
    lines
}

fn described(news: &mut Vec<String>, before: Option<&Support>, after: &Support) {
    if before.is_none_or(|before| before.contact != after.contact) {
        news.extend(contact(&after.contact));
    }
    if let Some(maker) =
        after.maker.as_ref().filter(|_| before.is_none_or(|before| before.maker != after.maker))
    {
        let site = maker.website.as_ref().map(|site| format!(", {}", quoted(site))).unwrap_or_default();
        news.push(format!("Made by {}, {}{site}", quoted(&maker.party.name), one_line(&maker.party.address)));
        news.extend(
            maker
                .representatives
                .iter()
                .map(|party| format!("Represented by {}, {}", quoted(&party.name), one_line(&party.address))),
        );
    }
    if let Some(model) =
        after.model.as_ref().filter(|_| before.is_none_or(|before| before.model != after.model))
    {
        let automatic =
            if model.automatic_updates { "by themselves" } else { "when the owner asks for them" };
        news.push(format!(
            "Sold as {}, marked {}: {}. Updates install {automatic}.",
            quoted(&model.name),
            quoted(&model.designation),
            quoted(&model.kind)
        ));
        news.extend(
            model.identifiers.iter().map(|id| format!("Known as {} {}", id.scheme, quoted(&id.value))),
        );
        news.extend(
            model
                .hardware
                .iter()
                .map(|revision| format!("Hardware {}: {}", revision.name, quoted(&revision.marking))),
        );
        if !model.connects_to.is_empty() {
            news.push(format!("It talks to {}", model.connects_to.join(", ")));
        }
    }
    cohorts(news, before, after);
    if let Some(care) =
        after.aftercare.as_ref().filter(|_| before.is_none_or(|before| before.aftercare != after.aftercare))
    {
        news.push(format!("After the end: {}", quoted(&care.after)));
        news.push(format!("To isolate it: {}", quoted(&care.isolate)));
        news.push(format!("To erase it: {}", quoted(&care.wipe)));
        news.push(format!("To dispose of it: {}", quoted(&care.dispose)));
        if !care.replace.is_empty() {
            news.push(format!("What replaces it: {}", quoted(&care.replace)));
        }
    }
}

fn cohorts(news: &mut Vec<String>, before: Option<&Support>, after: &Support) {
    for cohort in &after.cohorts {
        let old = before.and_then(|before| before.cohort(&cohort.name));
        if old == Some(cohort) {
            continue;
        }
        let until = match cohort.placed_until {
            Some(last) => format!("to {}", last.in_words()),
            None => "and is still sold".into(),
        };
        let new = if old.is_some() { "" } else { "New cohort " };
        news.push(format!(
            "{new}{}: {}, sold from {} {until}. Owners see it by: {}",
            cohort.name,
            quoted(&cohort.label),
            cohort.placed_from.in_words(),
            quoted(&cohort.find)
        ));
        for (what, values) in [("batches", &cohort.batches), ("markets", &cohort.markets)] {
            if !values.is_empty() {
                news.push(format!("  {what}: {}", quoted(&values.join(", "))));
            }
        }
        if !cohort.hardware.is_empty() {
            let names: Vec<&str> = cohort.hardware.iter().map(|name| name.as_str()).collect();
            news.push(format!("  hardware: {}", names.join(", ")));
        }
    }
}

/// Where security problems are reported, in plain words.
pub fn contact(contact: &VulnerabilityContact) -> Vec<String> {
    let mut lines = vec![format!(
        "Report security problems to {}; acknowledged within {} days, news every {} days.",
        quoted(&contact.contacts.join(", ")),
        contact.acknowledgement_days,
        contact.status_update_days
    )];
    lines.extend(contact.policy.iter().map(|policy| format!("Disclosure policy: {}", quoted(policy))));
    lines
        .extend(contact.encryption.iter().map(|key| format!("Key to encrypt reports with: {}", quoted(key))));
    if !contact.languages.is_empty() {
        lines.push(format!("Languages: {}", quoted(&contact.languages.join(", "))));
    }
    lines
}

fn statements(news: &mut Vec<String>, before: Option<&Support>, after: &Support) {
    fn of(record: Option<&Support>) -> &[Statement] {
        record.and_then(|record| record.compliance.as_ref()).map_or(&[], |compliance| &compliance.statements)
    }
    for statement in of(Some(after)).iter().skip(of(before).len()) {
        news.extend(stated(statement));
    }
}

/// A statement of compliance in plain words.
pub fn stated(statement: &Statement) -> Vec<String> {
    let makers: Vec<&str> = statement.manufacturers.iter().map(|party| party.name.as_str()).collect();
    let batches =
        if statement.batches.is_empty() { "all batches".into() } else { statement.batches.join(", ") };
    let mut lines = vec![
        format!(
            "Statement of compliance (SI 2023/1007, Schedule 4): {}, {}, by {}.",
            quoted(&statement.product_type),
            quoted(&batches),
            quoted(&makers.join("; "))
        ),
        format!(
            "  It declares compliance with Schedule {}. Support at first supply: until {}.",
            statement.schedule,
            statement.support_at_first_supply.in_words()
        ),
        format!(
            "  Signed by {}, {}, in {} on {}.",
            quoted(&statement.signatory),
            quoted(&statement.function),
            quoted(&statement.place),
            statement.date.in_words()
        ),
    ];
    lines.extend(statement.standards.iter().map(|standard| {
        format!(
            "  Relies on {} {} of {}.",
            quoted(&standard.number),
            quoted(&standard.version),
            standard.date.in_words()
        )
    }));
    lines
}

fn one_line(address: &str) -> String {
    quoted(&address.lines().map(str::trim).collect::<Vec<_>>().join(", "))
}

impl fmt::Display for SupportChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (product, sequence) = (&self.product, self.sequence);
        match sequence {
            1 => writeln!(f, "    Support record 1 of {product}, its first.")?,
            _ => writeln!(f, "    Support record {sequence} of {product}.")?,
        }
        match &self.sentence_before {
            Some(before) if *before != self.sentence => {
                writeln!(f, "    The public reads now: \"{}\"", quoted(before))?;
                writeln!(f, "    The public will read: \"{}\"", quoted(&self.sentence))?;
            }
            Some(_) => writeln!(f, "    The public reads as before: \"{}\"", quoted(&self.sentence))?,
            None => writeln!(f, "    The public will read: \"{}\"", quoted(&self.sentence))?,
        }
        self.dates.iter().try_for_each(|date| write!(f, "{date}"))?;
        if self.takes_back() {
            writeln!(f, "    Root takes a date back, which nobody else can. From here on:")?;
        }
        if self.moves() {
            writeln!(f, "    {}", self.never_earlier)?;
        }
        self.news.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl fmt::Display for DateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.after.in_words();
        match self.before {
            Some(before) if before == self.after => writeln!(f, "      {}: {after}, as before", self.label),
            Some(before) => writeln!(f, "      {}: {} → {after}", self.label, before.in_words()),
            None => writeln!(f, "      {}: {after}", self.label),
        }
    }
}

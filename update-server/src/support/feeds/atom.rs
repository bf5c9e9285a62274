//! News of a product, or of all (RFC 4287): each promise, what root took back, each notice, each update. An entry keeps its
//! id for ever; only an update that is withdrawn changes.

use super::{Listed, Rendered, View, page, plain, uuid};
use crate::support::catalogue::Catalogue;
use crate::support::routes::Query;
use perennial_schemas::Timestamp;
use perennial_schemas::support::{Notice, NoticeKind, Promise};

/// Its media type.
const MEDIA: &str = "application/atom+xml; charset=utf-8";

/// Entries of one feed, the newest; promises stand in a product's feed whatever their age. 100 entries with texts of some
/// hundred bytes are 100 KB.
const ENTRIES: usize = 100;

/// The feed of a product.
pub(crate) fn of(listed: &Listed, view: &View<'_>) -> Rendered {
    let record = &listed.record;
    let mut news = news(listed);
    news.sort_by_key(|news| std::cmp::Reverse(news.at));
    let mut others = 0;
    news.retain(|news| {
        others += usize::from(!news.is_promise());
        news.is_promise() || others <= ENTRIES
    });
    let head = Head {
        id: format!("urn:uuid:{}", uuid(listed, "feed")),
        title: format!("{}: security updates", record.display_name()),
        subtitle: format!("Record {} of {}, SHA-256 {}", record.sequence, record.product, listed.sha256),
        author: author(listed),
        own: format!("{}/feed.atom", page(listed)),
        page: page(listed),
        updated: news.first().map_or(record.updated(), |newest| newest.at.max(record.updated())),
    };
    feed(&head, &news, view)
}

/// The feed of all products.
pub(crate) fn of_all(catalogue: &Catalogue, view: &View<'_>, _: &Query) -> Rendered {
    let mut all: Vec<News<'_>> = catalogue.products().flat_map(|listed| news(listed)).collect();
    if all.len() > ENTRIES {
        all.select_nth_unstable_by_key(ENTRIES, |news| std::cmp::Reverse(news.at));
        all.truncate(ENTRIES);
    }
    all.sort_by_key(|news| std::cmp::Reverse(news.at));
    let newest = all.first().map_or(Timestamp::EPOCH, |newest| newest.at);
    let own = "/support/feed.atom".to_owned();
    let head = Head {
        // Where no public address is configured, the feed is known by the path alone.
        id: if view.base.is_empty() { "urn:perennial:support-feed".into() } else { view.address(&own) },
        title: "Security updates of all products".into(),
        subtitle: format!("Products: {}", catalogue.products().count()),
        author: "Perennial update server".into(),
        own,
        page: "/support/".into(),
        updated: newest,
    };
    feed(&head, &all, view)
}

struct Head {
    id: String,
    title: String,
    subtitle: String,
    author: String,
    own: String,
    page: String,
    updated: Timestamp,
}

/// Something that happened to a product.
struct News<'a> {
    listed: &'a Listed,
    at: Timestamp,
    event: Event,
}

/// What happened, by its place in the record.
#[derive(Clone, Copy)]
enum Event {
    Promise(usize),
    Annulment(usize),
    Notice(usize),
    Update(usize),
}

impl News<'_> {
    fn is_promise(&self) -> bool {
        matches!(self.event, Event::Promise(_) | Event::Annulment(_))
    }
}

fn news(listed: &Listed) -> Vec<News<'_>> {
    let record = &listed.record;
    let promises = record.promises.iter().enumerate().map(|(i, promise)| (promise.made, Event::Promise(i)));
    let annulled = record.annulled.iter().enumerate().map(|(i, own)| (own.at, Event::Annulment(i)));
    let notices = record.notices.iter().enumerate().map(|(i, notice)| (notice.made, Event::Notice(i)));
    let updates = listed.updates.iter().enumerate().map(|(i, update)| {
        let withdrawn = update.withdrawn.as_ref().map_or(Timestamp::EPOCH, |withdrawn| withdrawn.at);
        (update.release.created.max(withdrawn), Event::Update(i))
    });
    let all = promises.chain(annulled).chain(notices).chain(updates);
    all.map(|(at, event)| News { listed, at, event }).collect()
}

fn feed(head: &Head, news: &[News<'_>], view: &View<'_>) -> Rendered {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    out.push_str("<feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"en\">\n");
    element(&mut out, "id", &head.id);
    element(&mut out, "title", &head.title);
    element(&mut out, "subtitle", &head.subtitle);
    element(&mut out, "updated", &head.updated.to_string());
    out.push_str(&format!("<author><name>{}</name></author>\n", escaped(&head.author)));
    link(&mut out, "self", MEDIA_PLAIN, &view.address(&head.own));
    link(&mut out, "alternate", "text/html", &view.address(&head.page));
    news.iter().for_each(|news| entry(&mut out, news, view));
    out.push_str("</feed>\n");
    Rendered::new(MEDIA, out)
}

/// A link's type has no parameters.
const MEDIA_PLAIN: &str = "application/atom+xml";

fn entry(out: &mut String, news: &News<'_>, view: &View<'_>) {
    let Some(told) = tell(news) else { return };
    out.push_str("<entry>\n");
    element(out, "id", &format!("urn:uuid:{}", uuid(news.listed, &told.key)));
    element(out, "title", &format!("{}: {}", news.listed.record.display_name(), told.title));
    element(out, "published", &told.published.to_string());
    element(out, "updated", &news.at.to_string());
    out.push_str(&format!("<author><name>{}</name></author>\n", escaped(&author(news.listed))));
    link(out, "alternate", "text/html", &view.address(&page(news.listed)));
    out.push_str(&format!("<category term=\"{}\"/>\n", told.category));
    out.push_str(&format!("<content type=\"text\">{}</content>\n</entry>\n", escaped(&told.text)));
}

/// An entry in words.
struct Told {
    /// What its id is made of.
    key: String,
    category: &'static str,
    title: String,
    text: String,
    published: Timestamp,
}

fn tell(news: &News<'_>) -> Option<Told> {
    let record = &news.listed.record;
    match news.event {
        Event::Promise(index) => Some(promised(index, record.promises.get(index)?)),
        Event::Annulment(index) => {
            let annulment = record.annulled.get(index)?;
            Some(Told {
                key: format!("annulment|{}", annulment.promise),
                category: "annulment",
                title: format!("the promise of {} was taken back", annulment.guaranteed_until.in_words()),
                text: annulment.reason.clone(),
                published: annulment.at,
            })
        }
        Event::Notice(index) => Some(noticed(index, record.notices.get(index)?)),
        Event::Update(index) => {
            let update = news.listed.updates.get(index)?;
            let (release, version) = (&update.release, &update.release.version);
            let title = match update.withdrawn {
                Some(_) => format!("update {version} was withdrawn"),
                None => format!("update {version}"),
            };
            let why = update.withdrawn.as_ref().map(|withdrawn| format!("Withdrawn: {}", withdrawn.reason));
            let fixes = (!release.fixes.is_empty()).then(|| {
                let ids: Vec<&str> = release.fixes.iter().map(|fix| fix.id.as_str()).collect();
                format!("It fixes {}.", ids.join(", "))
            });
            let parts = why.into_iter().chain([release.notes.what.clone(), release.notes.why.clone()]);
            let parts = parts.chain(fixes).filter(|part| !part.is_empty());
            Some(Told {
                key: format!("update|{version}"),
                category: "update",
                title,
                text: parts.collect::<Vec<_>>().join("\n\n"),
                published: release.created,
            })
        }
    }
}

fn promised(index: usize, promise: &Promise) -> Told {
    let until = promise.guaranteed_until.in_words();
    let updates = if promise.replacement.is_some() { "replacement" } else { "security updates" };
    let names: Vec<&str> = promise.cohorts.iter().map(|cohort| cohort.as_str()).collect();
    let whom = if names.is_empty() { String::new() } else { format!(" (for {})", names.join(", ")) };
    Told {
        key: format!("promise|{}", index + 1),
        category: "promise",
        title: format!("{updates} promised until {until}{whom}"),
        text: promise.reason.clone(),
        published: promise.made,
    }
}

fn noticed(index: usize, notice: &Notice) -> Told {
    let (category, title) = match &notice.kind {
        NoticeKind::Information => ("notice", "a notice".to_owned()),
        NoticeKind::Vulnerability(open) => ("vulnerability", format!("the weakness {} is known", open.id)),
        NoticeKind::EndedEarly { on } => ("ended-early", format!("updates end early, on {}", on.in_words())),
        NoticeKind::Ceased { on } => ("ceased", format!("its maker ceased on {}", on.in_words())),
    };
    let advice = if notice.advice.is_empty() { String::new() } else { format!("\n\n{}", notice.advice) };
    let text = format!("{}{advice}", notice.text);
    Told { key: format!("notice|{}", index + 1), category, title, text, published: notice.made }
}

fn author(listed: &Listed) -> String {
    let maker = listed.record.maker.as_ref().map(|maker| maker.party.name.as_str());
    maker.unwrap_or(listed.record.display_name()).to_owned()
}

fn element(out: &mut String, name: &str, text: &str) {
    out.push_str(&format!("<{name}>{}</{name}>\n", escaped(text)));
}

fn link(out: &mut String, rel: &str, media: &str, to: &str) {
    out.push_str(&format!("<link rel=\"{rel}\" type=\"{media}\" href=\"{}\"/>\n", escaped(to)));
}

fn escaped(text: &str) -> String {
    let text = plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

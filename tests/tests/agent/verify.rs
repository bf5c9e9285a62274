//! `support verify`: what a page says against what was signed, without a device and without trusting the server.

use std::path::PathBuf;

use perennial_schemas::Document;
use perennial_schemas::Timestamp;
use perennial_schemas::release::Release;
use perennial_schemas::signed::to_text;
use perennial_schemas::support::{Promise, Summary, Update};
use perennial_tests::maker::Maker;
use perennial_tests::simulator::day;
use serde_json::Value;
use tempfile::TempDir;

use super::kit::{Ran, run};

/// A consumer group's desk: the maker's root, and a copy of the repository.
struct Desk {
    folder: TempDir,
    maker: Maker,
    clock: Timestamp,
}

impl Desk {
    fn new() -> Self {
        let mut maker = Maker::new();
        maker.extend(|record| {
            record.promises.push(Promise::new(day(0), "2038-12-31".parse().unwrap(), "A year more."))
        });
        let desk = Self { folder: tempfile::tempdir().unwrap(), maker, clock: day(2) };
        std::fs::write(desk.path("root.json"), desk.maker.repository.first_root()).unwrap();
        desk.publish();
        desk
    }

    fn publish(&self) {
        self.maker.write(&self.path("repository"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What an honest page says today.
    fn summary(&self) -> Summary {
        let (record, digest) = self.maker.recorded();
        Summary::of(&record, digest, self.clock.date(), false)
    }

    /// Saves a page and checks it.
    fn verify(&self, page: &[u8], more: &[&str]) -> Ran {
        std::fs::write(self.path("summary.json"), page).unwrap();
        let [page, root, server] = ["summary.json", "root.json", "repository"].map(|name| self.path(name));
        let mut args: Vec<std::ffi::OsString> =
            vec!["perennial-device".into(), "support".into(), "verify".into()];
        args.extend([page.into(), "--root".into(), root.into(), "--server".into(), server.into()]);
        args.extend(more.iter().map(Into::into));
        run(args, self.clock)
    }

    fn spoilt(&self, change: impl FnOnce(&mut Value)) -> Ran {
        let mut page = serde_json::to_value(self.summary()).unwrap();
        change(&mut page);
        self.verify(&serde_json::to_vec(&page).unwrap(), &[])
    }
}

#[test]
fn an_honest_page_says_the_same() {
    let desk = Desk::new();
    let said = desk.verify(&to_text(&desk.summary()).unwrap(), &[]).ok();
    assert!(said.contains("Same: the page says what the maker signed, in every field."), "{said}");
    assert!(said.contains("until at least 31 December 2038"), "{said}");
    let json = desk.verify(&to_text(&desk.summary()).unwrap(), &["--json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["verdict"], &json["record"]["sequence"]), (&"same".into(), &2.into()));
}

#[test]
fn a_page_that_says_something_else_differs_in_plain_words() {
    let desk = Desk::new();
    let said = desk.spoilt(|page| page["guaranteed_until"] = "2048-12-31".into()).ends(20);
    assert!(
        said.contains("- the date until which updates are promised: the page says 31 December 2048; the signed record says 31 December 2038"),
        "{said}"
    );
    for (field, change) in [
        (
            "sentence",
            Box::new(|page: &mut Value| page["sentence"] = "For ever.".into()) as Box<dyn FnOnce(&mut Value)>,
        ),
        ("how things stand", Box::new(|page| page["state"] = "ended".into())),
        ("number", Box::new(|page| page["record"]["sequence"] = 3.into())),
        ("signatures have run out", Box::new(|page| page["record"]["lapsed"] = true.into())),
        ("the reason of promise 1", Box::new(|page| page["support"]["promises"][0]["reason"] = "x".into())),
        (
            "promise 2",
            Box::new(|page| {
                page["support"]["promises"].as_array_mut().unwrap().pop();
            }),
        ),
        ("contact", Box::new(|page| page["support"]["contact"]["acknowledgement_days"] = 300.into())),
        ("advertisement", Box::new(|page| page["advertisement"] = "x".into())),
    ] {
        let said = desk.spoilt(change).ends(20);
        assert!(said.contains("Differs:") && said.contains(field), "{field}: {said}");
    }
}

#[test]
fn the_updates_on_a_page_are_compared_with_the_signed_releases() {
    let mut desk = Desk::new();
    desk.maker.release("1.0.0", 1, b"the first image");
    desk.maker.release("1.1.0", 1, b"the second image");
    desk.maker.withdraw("1.0.0");
    desk.publish();
    let update = |version: &str| {
        let release = &desk.maker.targets[&format!("thermostat/{version}.release.json")];
        let release = Release::parse(release).unwrap();
        let gone = desk.maker.channel.withdrawn.iter().find(|gone| gone.version == release.version);
        Update::new(&release, gone)
    };
    let updates = serde_json::json!([update("1.1.0"), update("1.0.0")]);
    assert_eq!(updates[1]["withdrawn"], "it overheats");
    let said = desk.spoilt(|page| page["updates"] = updates.clone()).ok();
    assert!(said.contains("what the maker signed, in every field."), "{said}");
    for (field, change) in [
        (
            "update 1 (what)",
            Box::new(|list: &mut Value| list[0]["what"] = "Nothing.".into()) as Box<dyn Fn(&mut Value)>,
        ),
        ("update 2 (withdrawn)", Box::new(|list| list[1]["withdrawn"] = Value::Null)),
        ("update 2: the page leaves it out", Box::new(|list| list.as_array_mut().unwrap().truncate(1))),
        (
            "update 3: the page says",
            Box::new(|list| {
                let again = list[0].clone();
                list.as_array_mut().unwrap().push(again);
            }),
        ),
    ] {
        let mut wrong = updates.clone();
        change(&mut wrong);
        let said = desk.spoilt(|page| page["updates"] = wrong).ends(20);
        assert!(said.contains(field), "{field}: {said}");
    }

    let channels = desk.path("repository/targets/thermostat");
    for file in std::fs::read_dir(channels).unwrap().map(|entry| entry.unwrap().path()) {
        if file.to_str().unwrap().ends_with(".stable.channel.json") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let said = desk.spoilt(|page| page["updates"] = updates).ok();
    assert!(
        said.contains("Not compared: the updates") && said.contains("in every field of the record."),
        "{said}"
    );
}

#[test]
fn a_page_of_an_older_or_shorter_record_differs() {
    let mut desk = Desk::new();
    let old = to_text(&desk.summary()).unwrap();
    desk.maker
        .extend(|record| record.promises.push(Promise::new(day(0), "2040-12-31".parse().unwrap(), "More.")));
    desk.publish();
    let said = desk.verify(&old, &[]).ends(20);
    assert!(said.contains("the record's number: the page says 2; the signed record says 3"), "{said}");
    desk.maker.repository.role("thermostat").targets.remove("thermostat/support.json");
    desk.maker.publish();
    desk.publish();
    let said = desk.verify(&old, &[]).ends(20);
    assert!(said.contains("nothing on the page is signed"), "{said}");
}

#[test]
fn without_a_signed_record_nothing_is_told() {
    let mut desk = Desk::new();
    desk.maker.repository.snapshot.common.expires = day(90);
    desk.maker.publish();
    desk.publish();
    let page = to_text(&desk.summary()).unwrap();
    let (what, _) = desk.verify(b"<html>", &[]).refused(1);
    assert!(what.contains("no support summary"), "{what}");
    // The timestamp has expired, and nothing that is signed offline.
    desk.clock = day(60);
    let later = to_text(&desk.summary()).unwrap();
    let said = desk.verify(&later, &[]).ends(1);
    assert!(said.contains("Can't tell: nothing differs, but a newer record may be held back"), "{said}");
    desk.clock = day(2);
    std::fs::write(desk.path("root.json"), Maker::forger().repository.first_root()).unwrap();
    let (what, hint) = desk.verify(&page, &[]).refused(1);
    assert!(what.contains("timestamp.json") && hint.contains("--root"), "{what} {hint}");
}

#[test]
fn a_page_that_hides_that_the_record_lapsed_differs() {
    let mut desk = Desk::new();
    desk.clock = day(120);
    let said = desk.verify(&to_text(&desk.summary()).unwrap(), &[]).ends(20);
    assert!(
        said.contains(
            "whether the record's signatures have run out: the page says no; the signed record says yes"
        ),
        "{said}"
    );
    let (record, digest) = desk.maker.recorded();
    let honest = Summary::of(&record, digest, desk.clock.date(), true);
    desk.verify(&to_text(&honest).unwrap(), &[]).ends(1);
}

/// The record's own role is signed until day 90, the root until day 365.
#[test]
fn a_page_that_hides_that_a_role_above_the_record_s_lapsed_differs() {
    let over = |change: fn(&mut Maker)| {
        let mut desk = Desk::new();
        desk.maker.repository.snapshot.common.expires = day(80);
        change(&mut desk.maker);
        desk.maker.publish();
        desk.publish();
        desk.clock = day(60);
        desk.verify(&to_text(&desk.summary()).unwrap(), &[])
    };
    assert!(over(|_| {}).ends(1).contains("nothing differs"));
    for expired in [
        |maker: &mut Maker| maker.repository.snapshot.common.expires = day(59),
        |maker: &mut Maker| maker.repository.targets().common.expires = day(59),
        |maker: &mut Maker| {
            maker.repository.root.common.expires = day(59);
            maker.repository.publish_root();
        },
    ] {
        let said = over(expired).ends(20);
        assert!(said.contains("whether the record's signatures have run out: the page says no"), "{said}");
    }
}

#[test]
fn a_file_needs_a_server_and_no_device() {
    let desk = Desk::new();
    let page = desk.path("page.json");
    std::fs::write(&page, to_text(&desk.summary()).unwrap()).unwrap();
    let args = ["perennial-device", "support", "verify"].map(Into::into).into_iter();
    let args = args.chain([page.into(), "--root".into(), desk.path("root.json").into()]);
    let (what, hint) = run(args, desk.clock).refused(1);
    assert!(what.contains("which server") && hint.contains("--server"), "{what} {hint}");
}

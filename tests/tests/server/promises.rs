//! Promises that a bundle may not break, and releases that a device could not use.

use super::kit::Kit;
use super::product::{add_release, index, published, refused, release, support, support_after};
use perennial_device_core::crypto::Ring;
use perennial_schemas::crypto::Digest;
use perennial_tests::simulator::day;

#[test]
fn a_support_date_never_moves_earlier() {
    let mut kit = published();
    let first = support(&["2031-06-30"]);
    kit.target("cam/support.json", support_after(&first, &["2030-06-30"]));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "can get later, never earlier");
    let second = support_after(&first, &["2031-06-30", "2033-06-30"]);
    kit.target("cam/support.json", &second);
    let bundle = kit.publish("next.bundle");
    kit.ingest(&bundle).ok();
    kit.target("cam/support.json", support_after(&second, &["2033-06-30"]));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "promises are only ever added");
    kit.remove("cam/support.json");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "the support record of cam would vanish");
}

#[test]
fn a_release_stays_as_it_was_until_the_day_it_names() {
    let mut kit = published();
    kit.remove("cam/1.0.0.a.image.zst");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/1.0.0.a.image.zst would vanish or change");
    kit.target("cam/1.0.0.a.image.zst", "another image");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/1.0.0.a.image.zst would vanish or change");
    kit.target("cam/1.0.0.a.image.zst", "image 1.0.0");
    kit.remove("cam/1.0.0.release.json");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/1.0.0.release.json would vanish or change");
}

#[test]
fn what_a_device_could_not_read_is_refused() {
    let mut kit = published();
    kit.target("cam/2.0.0.release.json", release("2.0.0", "2036-11-01"));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "it needs cam/2.0.0.a.image.index, which no role vouches for");
    kit.target("cam/2.0.0.release.json", release("2.0.0", "2036-11-01").replace("cam", "cup"));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "it is a release of another product, cup");
    kit.target("cam/2.0.0.release.json", "{\"format\":\"perennial.release/2\"}");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/2.0.0.release.json: not a release");
    kit.remove("cam/2.0.0.release.json");
    kit.target("cam/stable.channel.json", "[]");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/stable.channel.json: not a channel");
}

#[test]
fn a_security_version_never_falls_and_rises_by_steps() {
    let mut kit = published();
    let with = |version: &str, number: &str| {
        let number = format!(r#""security_version":{number},"#);
        release(version, "2036-11-01").replace(r#""security_version":1,"#, &number)
    };
    add_release(&mut kit, "2.0.0", "2036-11-01");
    kit.target("cam/2.0.0.release.json", with("2.0.0", "18"));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "2.0.0 of cam has security version 18; after 1 it must be from 1 to 17");
    kit.target("cam/2.0.0.release.json", with("2.0.0", "17"));
    let bundle = kit.publish("b");
    kit.ingest(&bundle).ok();
    add_release(&mut kit, "3.0.0", "2036-11-01");
    kit.target("cam/3.0.0.release.json", with("3.0.0", "16"));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "has security version 16; after 17 it must be from 17 to 33");
}

#[test]
fn a_release_that_does_not_fit_its_files_is_refused() {
    let mut kit = published();
    add_release(&mut kit, "2.0.0", "2036-11-01");
    kit.target("cam/2.0.0.a.image.zst", "something longer");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/2.0.0.a.image.zst has 16 bytes; it says 11");
    add_release(&mut kit, "2.0.0", "2036-11-01");
    kit.target("cam/2.0.0.a.image.index", index("another image").0);
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/2.0.0.a.image.index: ");
    add_release(&mut kit, "2.0.0", "2036-11-01");
    let manifest = release("2.0.0", "2036-11-01").replacen(r#""length":9,"#, r#""length":10,"#, 1);
    kit.target("cam/2.0.0.release.json", manifest);
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/2.0.0.a.image.index: it indexes 9 bytes; the manifest says 10");
}

#[test]
fn a_channel_offers_only_what_is_there() {
    let mut kit = published();
    let offering = |manifest: &str| {
        format!(
            r#"{{"format":"perennial.channel/1","requires":[],"product":"cam","channel":"stable",
            "releases":[{{"version":"1.0.0","manifest":"{manifest}"}}],"withdrawn":[]}}"#
        )
    };
    kit.target("cam/stable.channel.json", offering(&"1".repeat(64)));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "it offers 1.0.0 with a manifest that no role vouches for");
    let manifest = Ring.sha256(release("1.0.0", "2036-11-01").as_bytes()).to_string();
    kit.target("cam/stable.channel.json", offering(&manifest));
    let bundle = kit.publish("b");
    kit.ingest(&bundle).ok();
}

#[test]
fn what_is_withdrawn_stays_withdrawn() {
    let channel = |withdrawn: &str| {
        format!(
            r#"{{"format":"perennial.channel/1","requires":[],"product":"cam","channel":"stable","releases":[],
            "withdrawn":[{withdrawn}]}}"#
        )
    };
    let entry = format!(
        r#"{{"version":"1.0.0","manifest":"{}","reason":"It overheats.","at":"2026-11-01T00:00:00Z"}}"#,
        "1".repeat(64)
    );
    let mut kit = published();
    kit.target("cam/stable.channel.json", channel(&entry));
    let bundle = kit.publish("b");
    kit.ingest(&bundle).ok();
    kit.target("cam/stable.channel.json", channel(""));
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "cam/stable.channel.json would forget that 1.0.0 was withdrawn");
    kit.remove("cam/stable.channel.json");
    let bundle = kit.publish("b");
    refused(&kit, &bundle, "would forget that 1.0.0 was withdrawn");
}

#[test]
fn a_security_release_stays_while_an_extended_promise_lasts() {
    for (class, stays) in [("security", true), ("functionality", false)] {
        let mut kit = Kit::new();
        kit.target("cam/support.json", support(&["2031-06-30"]));
        add_release(&mut kit, "1.0.0", "2026-11-03");
        let manifest =
            release("1.0.0", "2026-11-03").replace(r#""kind":"security""#, &format!(r#""kind":"{class}""#));
        kit.target("cam/1.0.0.release.json", manifest);
        let bundle = kit.publish("first.bundle");
        kit.ingest(&bundle).ok();
        kit.remove("cam/1.0.0.release.json");
        kit.remove("cam/1.0.0.a.image.zst");
        let bundle = kit.publish("second.bundle");
        kit.clock.set(day(3));
        if stays {
            refused(&kit, &bundle, "release 1.0.0 of cam promised its files until 2031-06-30");
        } else {
            kit.ingest(&bundle).ok();
        }
    }
}

#[test]
fn after_that_day_a_release_may_go() {
    let mut kit = Kit::new();
    add_release(&mut kit, "1.0.0", "2026-11-03");
    let bundle = kit.publish("first.bundle");
    kit.ingest(&bundle).ok();
    kit.remove("cam/1.0.0.release.json");
    kit.remove("cam/1.0.0.a.image.zst");
    let bundle = kit.publish("second.bundle");
    kit.clock.set(day(2));
    refused(&kit, &bundle, "would vanish");
    kit.clock.set(day(3));
    kit.ingest(&bundle).ok();
}

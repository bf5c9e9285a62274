use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::document::Document;

fn name() -> Name {
    Name {
        device: DeviceId::of_key(&crate::Sha256Digest([7; 32])),
        product: "thermostat".parse().unwrap(),
        hardware: "revC".parse().unwrap(),
        labels: ["staff", "ring=canary"].iter().map(|label| label.parse().unwrap()).collect(),
        kind: Kind::Factory,
    }
}

fn read(uris: &[&str]) -> Result<Name, String> {
    Name::from_uris(uris.iter().copied()).map_err(|error| error.to_string())
}

#[test]
fn a_name_has_one_spelling() {
    let uris = name().to_uris();
    assert_eq!(
        uris,
        [
            "perennial:device/07070707070707070707070707070707",
            "perennial:product/thermostat",
            "perennial:hardware/revC",
            "perennial:label/ring=canary",
            "perennial:label/staff",
            "perennial:kind/factory",
        ]
    );
    assert_eq!(Name::from_uris(uris.iter().map(String::as_str)), Ok(name()));
    let bare = Name { labels: [].into(), kind: Kind::Fleet, ..name() };
    assert_eq!(Name::from_uris(bare.to_uris().iter().map(String::as_str)), Ok(bare));
}

#[test]
fn odd_names_are_refused() {
    let uris = name().to_uris();
    let good: Vec<&str> = uris.iter().map(String::as_str).collect();
    for (without, message) in [
        (0, "device is missing"),
        (1, "product is missing"),
        (2, "hardware is missing"),
        (5, "kind is missing"),
    ] {
        let mut uris = good.clone();
        uris.remove(without);
        assert!(read(&uris).unwrap_err().contains(message));
        let mut uris = good.clone();
        uris.insert(without, good[without]);
        assert!(read(&uris).unwrap_err().contains("stands there twice"), "{uris:?}");
    }
    for at in 0..5 {
        let mut uris = good.clone();
        uris.swap(at, at + 1);
        assert!(read(&uris).unwrap_err().contains("not in their order"), "{uris:?}");
    }
    let twice = [&good[..4], &good[3..]].concat();
    assert!(read(&twice).unwrap_err().contains("perennial:label stands there twice"));
    let long = alloc::format!("perennial:product/{}", "a".repeat(4096));
    for odd in [
        "https://example.org/",
        "perennial:admin/yes",
        "perennial:kind/gateway",
        "perennial:device",
        "PERENNIAL:kind/fleet",
        "",
        &long,
    ] {
        let error = read(&[&good[..], &[odd]].concat()).unwrap_err();
        assert!(error.contains("is no name of a device"), "{error}");
        assert!(error.len() < 600, "{}", error.len());
    }
    assert!(
        read(&["perennial:device/device-0017", good[1], good[2], good[5]]).unwrap_err().contains("32 hexa")
    );
    assert!(
        read(&[good[0], "perennial:product/A b", good[2], good[5]]).unwrap_err().contains("no product name")
    );
    let labels: Vec<String> = (0..17).map(|n| alloc::format!("perennial:label/l{n:02}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let many = |n: usize| [&good[..3], &labels[..n], &good[5..]].concat();
    assert!(read(&many(16)).is_ok());
    assert!(read(&many(17)).unwrap_err().contains("more than 16 labels"));
}

#[test]
fn codes_and_flags_are_written_as_they_are_read() {
    for code in RefusalCode::ALL {
        let text = serde_json::to_string(code).unwrap();
        assert_eq!(text, alloc::format!("\"{code}\""));
        assert_eq!(serde_json::from_str::<RefusalCode>(&text).unwrap(), *code);
        assert!((400..600).contains(&code.status()));
    }
    assert_eq!(serde_json::from_str::<RefusalCode>("\"of-the-future\"").unwrap(), RefusalCode::Unknown);
    for flag in Flag::ALL {
        let text = serde_json::to_string(flag).unwrap();
        assert_eq!(text, alloc::format!("\"{flag}\""));
        assert_eq!(serde_json::from_str::<Flag>(&text).unwrap(), *flag);
    }
    assert_eq!(serde_json::from_str::<Flag>("\"of-the-future\"").unwrap(), Flag::Unknown);
}

#[test]
fn what_is_signed_is_no_other_document() {
    assert_eq!(signed_bytes("{}"), b"perennial.reports/1\n{}");
}

#[test]
fn an_interval_outside_its_bounds_is_clamped_by_the_writer_and_refused_by_the_reader() {
    let ticket = Ticket::of_bytes(&[1; 16]);
    assert_eq!(CheckedIn::new(ticket.clone(), 0, 0).next_check_in, 60);
    let mut never = CheckedIn::new(ticket, 0, u32::MAX);
    assert_eq!(never.next_check_in, 2_592_000);
    never.next_check_in += 1;
    let text = serde_json::to_vec(&never).unwrap();
    assert!(CheckedIn::parse(&text).unwrap_err().to_string().contains("60 to 2592000"));
}

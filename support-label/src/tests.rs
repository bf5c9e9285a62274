//! What stands on the label, and that a real reader reads its code back.

use super::*;
use perennial_schemas::support::{Identifier, Maker, Model, Party, Promise, Support, VulnerabilityContact};
use perennial_schemas::{Date, Sha256Digest};

const BASE: &str = "https://updates.hearth.example";

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn record(gtin: bool) -> Support {
    let promise = Promise::new(date("2026-01-05").start(), date("2031-06-30"), "why");
    let contact = VulnerabilityContact::new("mailto:security@hearth.example", 5, 14);
    let mut record = Support::new("glow-thermostat".parse().unwrap(), promise, contact);
    let party = Party { name: "Hearth Ltd".into(), address: "1 Mill Lane".into() };
    record.maker = Some(Maker { party, website: None, representatives: vec![] });
    let number = Identifier { scheme: "gtin14".into(), value: "04006381333931".into() };
    record.model = Some(Model {
        name: "Glow thermostat".into(),
        designation: "GT-200".into(),
        kind: "Room thermostat".into(),
        identifiers: if gtin { vec![number] } else { vec![] },
        hardware: vec![],
        automatic_updates: true,
        connects_to: vec![],
    });
    record
}

fn label(record: &Support, today: &str) -> Label {
    Label::new(record, &Sha256Digest([0xab; 32]), date(today), BASE).unwrap()
}

/// What a reader makes of a picture.
fn read_back(png: &[u8]) -> String {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut grey = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut grey).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| grey[y * width + x]);
    let grids = picture.detect_grids();
    assert_eq!(grids.len(), 1, "one code");
    grids[0].decode().unwrap().1
}

#[test]
fn a_real_reader_reads_the_code_back_in_every_size() {
    for size in Size::ALL {
        for (gtin, link) in [
            (true, "https://updates.hearth.example/01/04006381333931"),
            (false, "https://updates.hearth.example/support/glow-thermostat"),
        ] {
            assert_eq!(read_back(&label(&record(gtin), "2026-11-22").png(size, 150).unwrap()), link);
        }
    }
}

#[test]
fn what_stands_on_it() {
    let label = label(&record(true), "2026-11-22");
    assert_eq!(
        (label.heading.as_str(), label.date.as_str()),
        ("Security updates until at least", "30 June 2031")
    );
    assert_eq!(label.lines, ["Model GT-200", "GTIN 4006381333931", "Hearth Ltd", "Automatic updates: yes"]);
    assert_eq!(label.pledge, Some("This date can get later, never earlier."));
    assert_eq!(label.address, "updates.hearth.example/support/glow-thermostat");
    assert_eq!(label.source, "Record 1 abababababab");
}

#[test]
fn a_label_of_something_that_has_ended_says_so_and_pledges_nothing() {
    let label = label(&record(true), "2031-07-01");
    assert_eq!((label.heading.as_str(), label.pledge), ("Security updates ended on", None));
}

#[test]
fn the_code_is_at_least_20_millimetres_wide() {
    for link in ["https://a.bc/support/xy", &format!("https://{}.example/01/04006381333931", "a".repeat(100))]
    {
        let qr = qr::Qr::new(link).unwrap();
        let layout =
            layout::lay_out(&Label { link: link.into(), ..label(&record(true), "2026-11-22") }).unwrap();
        let module = layout.qr.3 / qr.span() as f32;
        assert!(module * qr.modules as f32 >= 20.0, "{} modules", qr.modules);
    }
}

#[test]
fn svg_has_title_and_description_and_hostile_names_are_escaped() {
    let mut record = record(true);
    record.model.as_mut().unwrap().name = "<script>alert(1)</script> & \"co\"".into();
    let svg = label(&record, "2026-11-22").svg(Size::A8).unwrap();
    assert!(
        svg.contains(
            "<title id=\"label-title\">&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;co&quot;: Security"
        ),
        "{svg:.600}"
    );
    assert!(svg.contains("<desc id=\"label-description\">") && !svg.contains("<script"));
    assert!(svg.contains("width=\"74mm\" height=\"52mm\""));
}

#[test]
fn a_name_that_the_font_can_not_write_gives_way_to_the_plain_one() {
    let mut record = record(true);
    record.model.as_mut().unwrap().name = "温控器".into();
    assert_eq!(label(&record, "2026-11-22").name, "glow-thermostat");
}

#[test]
fn long_names_are_made_to_fit() {
    let mut record = record(true);
    record.model.as_mut().unwrap().name = "A very long name of a product ".repeat(6).trim().into();
    label(&record, "2026-11-22").png(Size::A8, 300).unwrap();
}

#[test]
fn odd_addresses_and_resolutions_are_refused() {
    let record = record(true);
    for base in ["", "http://a.example", "https://", "https://a b", &format!("https://{}", "a".repeat(200))] {
        let error = Label::new(&record, &Sha256Digest([0; 32]), date("2026-11-22"), base).unwrap_err();
        assert!(error.to_string().contains("https:// address"), "{error}");
    }
    assert!(matches!(label(&record, "2026-11-22").png(Size::A8, 20), Err(LabelError::Resolution(20))));
}

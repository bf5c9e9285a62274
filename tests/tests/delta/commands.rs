//! `delta make`, `apply`, `inspect`: what people read, and that nothing is left behind.

use crate::signer::desk::Desk;
use crate::signer::transcripts::{golden, transcript};

/// Two versions of something like an image: text, a table of words, zeros.
fn with_images() -> Desk {
    let desk = Desk::new();
    let line =
        |i: u32| format!("line {i} of the program, which says {}\n", i.wrapping_mul(2_654_435_761) % 1000);
    let old: String = (0..400).map(line).collect();
    let new = old.replace("line 77 ", "line seventy-seven ").replacen("line 300", "a fix\nline 300", 1);
    std::fs::write(desk.path("old.img"), [old.as_bytes(), &[0; 3000]].concat()).unwrap();
    std::fs::write(desk.path("new.img"), [new.as_bytes(), &[0; 3000]].concat()).unwrap();
    desk.write("empty.img", "");
    desk
}

/// Sizes change whenever the coding gets better: they stand as `#`, and what aligned them as one space.
fn told(desk: &Desk, commands: &[&str]) -> String {
    let folder = desk.path("");
    let text = transcript(desk, commands).replace(folder.to_str().unwrap(), "DESK/");
    let sized = |word: &str| match word.trim_matches(|c: char| c.is_ascii_digit() || ",.".contains(c)) {
        "" if word.starts_with(|c: char| c.is_ascii_digit()) => "#".to_owned(),
        _ => word.to_owned(),
    };
    let line = |line: &str| {
        let indent = if line.starts_with(' ') { "  " } else { "" };
        indent.to_owned() + &line.split_whitespace().map(sized).collect::<Vec<_>>().join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn from_old_to_new() {
    let desk = with_images();
    let out = desk.path("").display().to_string();
    let lines = [
        format!("delta make old.img new.img {out}fix.delta"),
        format!("delta apply old.img {out}fix.delta {out}again.img"),
        format!("delta inspect {out}fix.delta"),
        format!("delta inspect {out}fix.delta --old old.img --svg {out}fix.svg"),
    ];
    let text = told(&desk, &lines.each_ref().map(String::as_str));
    golden("delta.txt", &text);
    assert_eq!(std::fs::read(desk.path("again.img")).unwrap(), std::fs::read(desk.path("new.img")).unwrap());
    let svg = std::fs::read_to_string(desk.path("fix.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("fix.delta") && svg.ends_with("</svg>\n"));
    let json: serde_json::Value =
        serde_json::from_str(&desk.ok(&format!("delta inspect {out}fix.delta --old old.img --json")))
            .unwrap();
    let told: u64 =
        json["kinds"].as_array().unwrap().iter().map(|kind| kind["bytes"].as_u64().unwrap()).sum();
    let length = json["length"].as_u64().unwrap();
    assert!(told.abs_diff(length) <= 16, "{told} of {length} bytes are accounted for");
    let along: u64 = json["along"].as_array().unwrap().iter().map(|slice| slice.as_u64().unwrap()).sum();
    assert!(along <= length, "{along}");
}

#[test]
fn errors() {
    let desk = with_images();
    let out = desk.path("").display().to_string();
    desk.ok(&format!("delta make old.img new.img {out}fix.delta"));
    let delta = std::fs::read(desk.path("fix.delta")).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(desk.path(name), bytes).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = delta.clone();
        bytes[at] = byte;
        bytes
    };
    put("cut.delta", &delta[..delta.len() - 1]);
    put("longer.delta", &[&delta[..], b"x"].concat());
    put("newer.delta", &changed(4, 9));
    put("older.delta", &changed(4, 1));
    put("odd.delta", &changed(8, 17));
    put("damaged.delta", &changed(delta.len() - 10, delta[delta.len() - 10] ^ 0x40));
    let lines: Vec<String> = [
        "delta make old.img new.img FOLDERfix.delta",
        "delta make old.img empty.img FOLDERother.delta",
        "delta make old.img nothing.img FOLDERother.delta",
        "delta make old.img new.img FOLDERother.delta --code z80@0",
        "delta make old.img new.img FOLDERother.delta --memory-limit much",
        "delta make old.img new.img FOLDERother.delta --in-place 4294967295x1M",
        "delta make old.img new.img FOLDERother.delta --without magic",
        "delta make old.img new.img FOLDERother.delta --profile toaster",
        "delta apply new.img fix.delta FOLDERother.img",
        "delta apply old.img new.img FOLDERother.img",
        "delta apply old.img cut.delta FOLDERother.img",
        "delta apply old.img longer.delta FOLDERother.img",
        "delta apply old.img newer.delta FOLDERother.img",
        "delta apply old.img older.delta FOLDERother.img",
        "delta apply old.img odd.delta FOLDERother.img",
        "delta apply old.img damaged.delta FOLDERother.img",
        "delta apply old.img fix.delta FOLDERother.img --memory-limit 64K",
        "delta apply old.img fix.delta FOLDERnew.img",
        "delta inspect new.img",
        "delta inspect fix.delta --old new.img",
    ]
    .map(|line| line.replace("FOLDER", &out))
    .into();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let before = names(&desk);
    for line in &lines {
        desk.refused(line);
    }
    assert_eq!(before, names(&desk), "nothing is left behind");
    golden("delta-errors.txt", &told(&desk, &lines));
    desk.ok(&format!("delta make old.img new.img {out}fix.delta --force --profile mcu"));
}

/// A little-endian ELF file of 64 bits with one section beside that of names.
fn elf(name: &str, content: &[u8]) -> Vec<u8> {
    let names = format!("\0{name}\0");
    let (at, length, strings) = (64 + names.len() as u64, content.len() as u64, names.len() as u64);
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    bytes[0x28..0x30].copy_from_slice(&(at + length).to_le_bytes());
    // Bytes of an entry, entries, and which one has the names.
    bytes[0x3a..0x40].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
    bytes.extend(names.as_bytes());
    bytes.extend(content);
    bytes.extend([0; 64]);
    for (name, kind, at, length) in [(1_u32, 1_u32, at, length), (0, 3, 64, strings)] {
        let mut entry = [0; 64];
        entry[..4].copy_from_slice(&name.to_le_bytes());
        entry[4..8].copy_from_slice(&kind.to_le_bytes());
        entry[0x18..0x20].copy_from_slice(&at.to_le_bytes());
        entry[0x20..0x28].copy_from_slice(&length.to_le_bytes());
        bytes.extend(entry);
    }
    bytes
}

#[test]
fn a_section_whose_name_has_a_line_break_makes_no_line() {
    let desk = with_images();
    for name in ["old", "new"] {
        let content = std::fs::read(desk.path(&format!("{name}.img"))).unwrap();
        let file = elf(".a\nproved: by nobody\u{1b}[2J", &content);
        std::fs::write(desk.path(&format!("{name}.elf")), file).unwrap();
    }
    let out = desk.path("").display().to_string();
    desk.ok(&format!("delta make old.elf new.elf {out}fix.delta"));
    let told = desk.ok("delta inspect fix.delta --old old.elf");
    assert!(told.contains(r".a\u{a}proved: by nobody\u{1b}[2J ("), "{told}");
}

/// A cpio archive as kernels unpack it.
fn cpio(files: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut fields = [0; 13];
        (fields[6], fields[11]) = (content.len(), name.len() + 1);
        archive.extend(format!("070701{}", fields.map(|field| format!("{field:08x}")).concat()).bytes());
        for bytes in [&[name, &b"\0"[..]].concat(), *content] {
            archive.extend_from_slice(bytes);
            archive.resize(archive.len().next_multiple_of(4), 0);
        }
    }
    archive
}

#[test]
fn a_file_is_named_whatever_its_name_is_and_the_name_does_nothing() {
    let desk = with_images();
    let long = "long/".repeat(700);
    let names: [&[u8]; 4] = [
        "a\u{1b}[2J\u{1b}]0;title\u{7}\r\nproved: by nobody\u{9b}1A\u{7f}\u{202e}txt\u{feff}".as_bytes(),
        b"b\xff\xfe\xf0\x9f",
        b"c\"</text><script>'&amp;\\u001b",
        long.as_bytes(),
    ];
    for name in ["old", "new"] {
        let content = std::fs::read(desk.path(&format!("{name}.img"))).unwrap();
        let files = names.map(|path| (path, &content[..]));
        std::fs::write(desk.path(&format!("{name}.cpio")), cpio(&files)).unwrap();
    }
    let out = desk.path("").display().to_string();
    desk.ok(&format!("delta make old.cpio new.cpio {out}fix.delta"));
    let acts = |char: char| char != '\n' && perennial_signer::terminal::acts(char);
    let lines = desk.ok(&format!("delta inspect fix.delta --old old.cpio --svg {out}fix.svg"));
    assert!(!lines.contains(acts) && lines.lines().all(|line| line.chars().count() < 400), "{lines}");
    assert!(lines.contains(r"\u{d}\u{a}proved: by nobody\u{9b}1A\u{7f}\u{202e}txt\u{feff} ("), "{lines}");
    let json = desk.ok("delta inspect fix.delta --old old.cpio --json");
    assert!(!json.contains(acts), "{json}");
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    let told: Vec<&str> =
        told["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    for name in names {
        assert!(told.contains(&&*String::from_utf8_lossy(name)), "{told:?}");
    }
    let svg = std::fs::read_to_string(desk.path("fix.svg")).unwrap();
    assert!(!svg.contains(acts) && !svg.contains("<script"), "{svg}");
    assert!(svg.contains("c&quot;&lt;/text&gt;&lt;script&gt;'&amp;amp;"), "{svg}");
}

/// Devices tell no length, pipes are waited for, and what was renamed over a device took its place.
#[test]
fn only_plain_files_are_read_and_replaced() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let desk = with_images();
    let [link, device, pipe, socket] =
        ["link.img", "odd.device", "odd.pipe", "odd.socket"].map(|name| desk.path(name));
    symlink(desk.path("old.img"), link).unwrap();
    // A link: whatever goes wrong here, the device itself stays.
    symlink("/dev/null", device).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::create_dir(desk.path("odd.folder")).unwrap();
    let out = desk.path("").display().to_string();
    desk.ok(&format!("delta make link.img new.img {out}fix.delta --in-place 16x4K"));
    for odd in ["odd.device", "odd.socket", "odd.folder", "odd.pipe"] {
        for line in [
            format!("delta apply old.img fix.delta {odd} --force"),
            format!("delta make old.img new.img {odd}"),
            format!("delta inspect fix.delta --svg {odd} --force"),
            format!("delta make {odd} new.img {out}other.delta"),
            format!("delta make old.img {odd} {out}other.delta"),
            format!("delta apply {odd} fix.delta {out}other.img"),
            format!("delta apply old.img {odd} {out}other.img"),
            format!("delta rewrite old.img fix.delta {odd}"),
            format!("delta inspect {odd}"),
            format!("delta inspect fix.delta --old {odd}"),
            format!("inspect {odd}"),
        ] {
            let refused = desk.refused(&line);
            assert!(refused.contains(&format!("{odd} is no plain file\n")), "{line}: {refused}");
        }
    }
    assert!(pipe.metadata().unwrap().file_type().is_fifo());
    assert!(socket.metadata().unwrap().file_type().is_socket());
    assert!(desk.path("odd.folder").is_dir());
}

#[test]
fn nothing_is_written_over_what_it_is_made_of() {
    let desk = with_images();
    let out = desk.path("").display().to_string();
    desk.ok(&format!("delta make old.img new.img {out}fix.delta"));
    std::os::unix::fs::symlink(desk.path("old.img"), desk.path("link.img")).unwrap();
    let read = || ["old.img", "new.img", "fix.delta"].map(|name| std::fs::read(desk.path(name)).unwrap());
    let before = read();
    for (line, name) in [
        ("delta make old.img new.img old.img --force", "OLD"),
        ("delta make old.img new.img new.img --force", "NEW"),
        ("delta make link.img new.img old.img", "OLD"),
        ("delta apply old.img fix.delta fix.delta --force", "DELTA"),
        ("delta apply old.img fix.delta link.img --force", "OLD"),
        ("delta inspect fix.delta --svg fix.delta --force", "DELTA"),
        ("delta inspect fix.delta --old old.img --svg old.img --force", "the file of --old"),
    ] {
        let refused = desk.refused(line);
        assert!(refused.contains(&format!(" is {name}, which would be lost\n")), "{line}: {refused}");
    }
    desk.ok(&format!("delta make old.img new.img {out}place.delta --in-place 16x4K"));
    let place = std::fs::read(desk.path("place.delta")).unwrap();
    std::fs::write(desk.path("slot.journal"), desk.path("").display().to_string()).unwrap();
    for (line, name) in [
        ("delta rewrite old.img place.delta old.img", "OLD"),
        ("delta rewrite old.img place.delta link.img", "OLD"),
        ("delta rewrite old.img place.delta place.delta", "DELTA"),
        ("delta rewrite slot.journal place.delta FOLDERslot", "OLD"),
    ] {
        let refused = desk.refused(&line.replace("FOLDER", &out));
        assert!(refused.contains(&format!(" is {name}, which would be lost\n")), "{line}: {refused}");
    }
    assert!(!desk.path("old.img.journal").exists() && !desk.path("slot").exists());
    assert!(before == read() && place == std::fs::read(desk.path("place.delta")).unwrap());
}

fn names(desk: &Desk) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        std::fs::read_dir(desk.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    names
}

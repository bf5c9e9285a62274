//! `delta inspect --old` names the files of images as `mksquashfs`, `mkfs.ext4` and `mkfs.erofs` make them.

use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use perennial_tests::delta::Random;

use crate::signer::desk::Desk;

/// Bytes of a block of the squashfs images: what of a file doesn't fill one shares a block with the ends of others.
const BLOCK: usize = 16 << 10;
/// Bytes that are other ones in the middle of a file.
const CHANGED: usize = 3_000;

/// Short files, each in a folder of its own.
const MANY: u64 = 40;

/// Bytes of which a packer saves a quarter.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    Random(seed).bytes(length).into_iter().map(|byte| byte & 63 | 64).collect()
}

/// A folder of files: most are as before, one of them elsewhere; one is new; one changed in its middle, and a short one as a
/// whole.
fn folder(desk: &Desk, name: &str, is_new: bool) {
    let put = |path: &str, content: &[u8]| {
        let path = desk.path(name).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let mut changed = noise(1, 6 * BLOCK);
    if is_new {
        changed[50_000..50_000 + CHANGED].copy_from_slice(&noise(2, CHANGED));
        put("opt/new.bin", &noise(3, BLOCK));
    }
    put("usr/lib/one/two/three/changed.so", &changed);
    put("etc/short.conf", &noise(4 + u64::from(is_new), 900));
    put(if is_new { "usr/share/doc/moved" } else { "usr/moved" }, &noise(6, 2 * BLOCK + 700));
    // Whatever a name holds.
    let odd = std::ffi::OsStr::from_bytes(b"usr/share/\x1b[2J\n\xff");
    std::fs::create_dir_all(desk.path(name).join("usr/share")).unwrap();
    std::fs::write(desk.path(name).join(odd), noise(7, 3 * BLOCK)).unwrap();
    put("a/first", &noise(8, BLOCK));
    (0..MANY).for_each(|number| put(&format!("many/{number}/file"), &noise(9 + number, 40)));
    put("empty", b"");
    std::fs::create_dir(desk.path(name).join("no-files")).unwrap();
    std::os::unix::fs::symlink("usr/moved", desk.path(name).join("link")).unwrap();
}

fn run(program: &str, arguments: &[&str]) {
    let out = Command::new(program).args(arguments).output().unwrap();
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Bytes of the delta by name, of images that `make` made of both folders (given the folder and the image).
fn told(make: impl Fn(&str, &str)) -> Vec<(String, u64)> {
    let desk = Desk::new();
    for name in ["old", "new"] {
        folder(&desk, name, name == "new");
        make(desk.path(name).to_str().unwrap(), desk.path(&format!("{name}.img")).to_str().unwrap());
    }
    let delta = desk.path("fix.delta").display().to_string();
    desk.ok(&format!("delta make old.img new.img {delta}"));
    let json = desk.ok("delta inspect fix.delta --old old.img --json");
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let files = told["files"].as_array().unwrap();
    // Each byte of the image is one file's, or no file's; each of the delta is told once, but for rounding.
    let length: u64 = files.iter().map(|file| number(&file["length"])).sum();
    assert_eq!(length, number(&told["new"]["length"]), "{files:?}");
    let along: Vec<u64> = told["along"].as_array().unwrap().iter().map(number).collect();
    let (sum, all) = (files.iter().map(|file| number(&file["bytes"])).sum::<u64>(), along.iter().sum());
    assert!(sum.abs_diff(all) <= (files.len() + along.len()) as u64, "{sum} of {all}: {files:?}");
    files.iter().map(|file| (file["name"].as_str().unwrap().to_owned(), number(&file["bytes"]))).collect()
}

/// Whether those of `costly`, and no others, have bytes: each within the limits told; `(no file)` has what describes the files.
fn assert_told(told: &[(String, u64)], costly: &[(&str, std::ops::RangeInclusive<u64>)], free: &[&str]) {
    let mut left: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    let nothing = free.iter().map(|name| (*name, 0..=40));
    for (name, limits) in costly.iter().cloned().chain(nothing).chain([("(no file)", 0..=6_000)]) {
        let bytes = told.iter().find(|(told, _)| told == name).map(|(_, bytes)| *bytes);
        assert!(bytes.is_some_and(|bytes| limits.contains(&bytes)), "{name}: {bytes:?} of {told:?}");
        left.retain(|told| *told != name && !told.starts_with("/many/"));
    }
    assert!(left.is_empty(), "{left:?}");
}

const AS_BEFORE: [&str; 3] = ["/a/first", "/usr/share/doc/moved", "/usr/share/\u{1b}[2J\n\u{fffd}"];

fn squashfs(options: &[&str], most: u64) {
    let told = told(|folder, image| {
        let fixed = ["-b", "16K", "-noappend", "-no-xattrs", "-quiet", "-no-progress"];
        run("mksquashfs", &[&[folder, image], &fixed[..], options].concat());
    });
    let costly = [
        ("/usr/lib/one/two/three/changed.so", 2_000..=most),
        ("/opt/new.bin", 11_000..=14_000),
        ("(ends of files)", 600..=most),
    ];
    assert_told(&told, &costly, &AS_BEFORE);
}

#[test]
#[ignore = "needs mksquashfs: tests/run file-systems"]
fn files_of_a_squashfs_packed_by_gzip_are_named() {
    squashfs(&["-comp", "gzip"], 3_200);
}

/// Parts are taken apart of some versions of zstd alone; of others two blocks are sent.
#[test]
#[ignore = "needs mksquashfs: tests/run file-systems"]
fn files_of_a_squashfs_packed_by_zstd_are_named() {
    squashfs(&["-comp", "zstd"], 2 * BLOCK as u64);
}

#[test]
#[ignore = "needs mksquashfs: tests/run file-systems"]
fn files_of_a_squashfs_that_is_not_packed_are_named() {
    squashfs(&["-noI", "-noD", "-noF", "-noX"], 3_200);
}

fn not_packed(make: impl Fn(&str, &str)) {
    let costly = [
        ("/usr/lib/one/two/three/changed.so", 2_000..=2_500),
        ("/opt/new.bin", 11_000..=14_000),
        ("/etc/short.conf", 600..=900),
    ];
    let told = told(make);
    assert_told(&told, &costly, &AS_BEFORE);
    let many = told.iter().filter(|(name, _)| name.starts_with("/many/") && name.ends_with("/file"));
    assert_eq!(many.count() as u64, MANY);
}

#[test]
#[ignore = "needs mkfs.ext4: tests/run file-systems"]
fn files_of_an_ext4_are_named() {
    not_packed(|folder, image| run("mkfs.ext4", &["-q", "-d", folder, image, "2M"]));
}

#[test]
#[ignore = "needs mkfs.erofs: tests/run file-systems"]
fn files_of_an_erofs_are_named() {
    not_packed(|folder, image| run("mkfs.erofs", &["--quiet", image, folder]));
}

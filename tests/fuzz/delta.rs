//! libFuzzer gives the device's decoder any delta. An input is an old image's length (u32 LE), that image, and a container.

#![no_main]

#[path = "../src/delta/decode.rs"]
mod decode;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first_chunk::<4>() else { return };
    let Some((old, container)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else { return };
    let allowed = decode::declared(container).is_none_or(|declared| declared <= decode::ALLOWED);
    let outcome = decode::decode(container, old, &mut Vec::new(), &mut || {});
    assert!(allowed || matches!(outcome, decode::Outcome::Refused(_)), "a decoder took more than it may");
});

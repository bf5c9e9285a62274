//! What the documents of a product say, in plain words: for `review`, before somebody signs, and for `inspect`.

use perennial_schemas::channel::Channel;
use perennial_schemas::ident::HardwareName;
use perennial_schemas::release::{Class, Encoding, Image, Release, Severity};

use crate::crypto::Ring;
use crate::rollout::tell;
use crate::terminal::quoted;

/// A release manifest, a line for each thing that it says.
pub fn release(release: &Release) -> Vec<String> {
    let Release { product, version, security_version, .. } = release;
    let class = match &release.class {
        Class::Security => "security fixes".into(),
        Class::Functionality => "functionality".into(),
        Class::Combined { reason } => {
            format!("security and functionality together, because: {}", quoted(reason))
        }
    };
    let mut lines = vec![
        format!("Release {version} of {product}: {class}."),
        format!("Security version {security_version}: devices that have confirmed a higher one refuse it."),
    ];
    lines.extend(release.images.iter().map(image));
    lines.push(format!("What it changes: {}", quoted(&release.notes.what)));
    if !release.notes.why.is_empty() {
        lines.push(format!("Why that matters: {}", quoted(&release.notes.why)));
    }
    lines.push(match release.notes.interruption_seconds {
        0 => "The device can be used while it installs.".into(),
        seconds => format!("The device can't be used for {seconds} seconds."),
    });
    lines.extend(
        release.fixes.iter().map(|fix| format!("Fixes {} ({})", quoted(&fix.id), severity(fix.severity))),
    );
    lines.extend(release.advisories.iter().map(|address| format!("Advisory: {}", quoted(address))));
    lines.extend(
        release
            .minimum_version
            .iter()
            .map(|least| format!("Devices below {least} need another release first.")),
    );
    lines.extend(release.postponable_days.map(|days| match days {
        0 => "Owners may not put it off.".into(),
        days => format!("Owners may put it off for {days} days."),
    }));
    lines.extend(release.rollout.iter().flat_map(|plan| tell::lines(plan, &Ring)));
    lines.extend(release.sbom.iter().map(|sbom| format!("Bill of materials: {sbom}")));
    if let Some(secrets) = &release.secrets_let_through {
        lines.push(format!(
            "LET THROUGH although it looks like a secret, because: {}",
            quoted(&secrets.reason)
        ));
        lines.extend(secrets.found.iter().map(|found| format!("  {}", quoted(found))));
    }
    lines.push(format!("Its files are served until {} at least.", release.available_until));
    lines
}

/// A channel, and what is new in it since `before`.
pub fn channel(before: Option<&Channel>, channel: &Channel) -> Vec<String> {
    let mut lines = Vec::new();
    let was_offered = |entry: &&perennial_schemas::channel::Offered| {
        before.is_some_and(|before| before.releases.contains(entry))
    };
    for offered in channel.releases.iter().filter(|entry| !was_offered(entry)) {
        lines.push(format!("Channel {} would offer {}.", channel.channel, offered.version));
    }
    for gone in before.into_iter().flat_map(|before| &before.releases) {
        if channel.releases.iter().all(|offered| offered.manifest != gone.manifest) {
            lines.push(format!("Channel {} would offer {} no more.", channel.channel, gone.version));
        }
    }
    for withdrawn in &channel.withdrawn {
        if before.is_none_or(|before| !before.withdrawn.contains(withdrawn)) {
            let reason = quoted(&withdrawn.reason);
            lines.push(format!(
                "{} is withdrawn: devices refuse it for good. Reason: {reason}",
                withdrawn.version
            ));
        }
    }
    if lines.is_empty() {
        lines.push(format!("Channel {} would offer the same.", channel.channel));
    }
    lines
}

fn image(image: &Image) -> String {
    let hardware: Vec<_> = image.hardware.iter().map(HardwareName::as_str).collect();
    let payloads: Vec<String> = image
        .payloads
        .iter()
        .map(|payload| {
            let encoding = match &payload.encoding {
                Encoding::Plain => "as it is".into(),
                Encoding::Zstd => "zstd".into(),
                Encoding::Delta => match &payload.source {
                    Some(source) => format!("delta from {}", source.version),
                    None => "delta".into(),
                },
                Encoding::Unknown(other) => quoted(other),
            };
            format!("{} bytes to download ({encoding})", grouped(payload.length))
        })
        .collect();
    format!("For {}: {} bytes, {}.", hardware.join(", "), grouped(image.length), payloads.join(" or "))
}

/// A severity as people read it.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// `52,428,800`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use perennial_schemas::channel::{Offered, Withdrawn};
    use perennial_schemas::{Sha256Digest, Timestamp};

    use super::*;

    #[test]
    fn a_channel_tells_what_is_new() {
        let mut before = Channel::new("thermostat".parse().unwrap(), "stable".parse().unwrap());
        let offered =
            |version: &str, n| Offered { version: version.parse().unwrap(), manifest: Sha256Digest([n; 32]) };
        before.releases = vec![offered("1.0.0", 1), offered("1.1.0", 2)];
        let mut after = before.clone();
        assert_eq!(channel(Some(&before), &after), ["Channel stable would offer the same."]);
        let gone = after.releases.remove(0);
        after.releases.push(offered("1.2.0", 3));
        let at = Timestamp::EPOCH;
        let reason = "It overheats.".into();
        after.withdrawn.push(Withdrawn { version: gone.version, manifest: gone.manifest, reason, at });
        let expected = [
            "Channel stable would offer 1.2.0.",
            "Channel stable would offer 1.0.0 no more.",
            "1.0.0 is withdrawn: devices refuse it for good. Reason: It overheats.",
        ];
        assert_eq!(channel(Some(&before), &after), expected);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!((grouped(7), grouped(52_428_800)), ("7".into(), "52,428,800".into()));
    }
}

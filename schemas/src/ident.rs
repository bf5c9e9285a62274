//! Validated names: whoever holds one may put it into a path, a URL or a page.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Sha256Digest, encode_hex};
use crate::limits::{KEY_ID_LENGTH, ROLE_NAME_LENGTH, TARGET_PATH_LENGTH};
use crate::parsed::parsed;

/// The text is no valid name of its kind; the message says what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}: {rule}")]
pub struct NotAName {
    /// The text, cut at 80 characters.
    text: String,
    kind: &'static str,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $rule:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NotAName;
            fn from_str(text: &str) -> Result<Self, NotAName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NotAName { text: text.chars().take(80).collect(), kind: $kind, rule: $rule })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer)
            }
        }

        #[cfg(feature = "json-schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> alloc::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $rule, "pattern": $pattern })
            }
        }
    };
}

name!(
    /// A product, and the name of the role that its team signs with.
    ProductName,
    "product name",
    "2 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit; \
     not root, targets, snapshot or timestamp",
    "^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$",
    |text| {
        is_label(text) && text.len() >= 2 && !matches!(text, "root" | "targets" | "snapshot" | "timestamp")
    }
);

name!(
    /// A release channel of a product, such as `stable`.
    ChannelName,
    "channel name",
    "1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit",
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    is_label
);

name!(
    /// Units of a product that share a support date, such as `made-2026`.
    CohortName,
    "cohort name",
    "1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit",
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    is_label
);

name!(
    /// A hardware revision, such as `revC`.
    HardwareName,
    "hardware name",
    "1 to 63 letters, digits, hyphens and underscores, beginning with a letter or digit",
    "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$",
    |text| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && text.as_bytes()[0].is_ascii_alphanumeric()
    }
);

name!(
    /// A device, as its maker or its key names it.
    DeviceId,
    "device id",
    "1 to 128 letters, digits, and . _ : -, beginning with a letter or digit",
    "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$",
    |text| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
            && text.as_bytes()[0].is_ascii_alphanumeric()
    }
);

name!(
    /// An early group that a device belongs to, such as `ring=canary`: bound in its certificate.
    Label,
    "label",
    "1 to 64 lower-case letters, digits, and . _ = -, beginning with a letter",
    "^[a-z][a-z0-9._=-]{0,63}$",
    |text| is_lower(text, b"._=-") && text.as_bytes()[0].is_ascii_lowercase()
);

name!(
    /// What a product tells of itself beside its versions, such as `battery.cycles`.
    AttributeName,
    "attribute name",
    "1 to 64 lower-case letters, digits, and . _ -",
    "^[a-z0-9._-]{1,64}$",
    |text| is_lower(text, b"._-")
);

name!(
    /// What the server hands out at a check-in, and wants to see at the next one: an identity that was copied to a second
    /// place can't show it from both. 16 random bytes.
    Ticket,
    "ticket",
    "32 lower-case hexadecimal digits",
    "^[0-9a-f]{32}$",
    is_hex_of_16_bytes
);

name!(
    /// A key id: for keys that we make the SHA-256 of the key's canonical form, otherwise opaque (TUF 4.2.1).
    KeyId,
    "key id",
    "1 to 256 printable characters without spaces",
    "^[!-~]{1,256}$",
    |text| (1..=KEY_ID_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
);

name!(
    /// A TUF role, as other repositories may name it. It can hold any character but a control character: file names are
    /// made with [`RoleName::file_name`], which escapes.
    RoleName,
    "role name",
    "1 to 200 bytes of text without control characters",
    "^.{1,200}$",
    |text| (1..=ROLE_NAME_LENGTH).contains(&text.len()) && !text.chars().any(char::is_control)
);

name!(
    /// A target path (TUF 4.5, TARGETPATH): relative, with `/` between its parts.
    TargetPath,
    "target path",
    "1 to 512 bytes without control characters or backslashes, relative, no part empty, . or .., \
     and its last part at most 180 bytes",
    "^[^/\\\\].{0,511}$",
    |text| {
        (1..=TARGET_PATH_LENGTH).contains(&text.len())
            && !text.chars().any(|c| c.is_control() || c == '\\')
            && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && text.rsplit('/').next().is_some_and(|last| last.len() <= 180)
    }
);

/// 1 to 64 lower-case letters, digits and `others`.
fn is_lower(text: &str, others: &[u8]) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte))
}

fn is_hex_of_16_bytes(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl DeviceId {
    /// The id of a device with an identity: the first 16 bytes of `spki`, the SHA-256 of its factory key as a DER
    /// SubjectPublicKeyInfo, in 32 hexadecimal digits. So ids are neither shared nor counted nor made from serial numbers,
    /// and whoever sees the key can check it. It stays when the fleet key changes.
    pub fn of_key(spki: &Sha256Digest) -> Self {
        Self(encode_hex(&spki.as_bytes()[..16]))
    }

    /// Whether it has the form of [`DeviceId::of_key`]; other ids exist in lab mode and on devices without an identity.
    pub fn has_form_of_key(&self) -> bool {
        is_hex_of_16_bytes(&self.0)
    }
}

impl Ticket {
    /// Of 16 random bytes.
    pub fn of_bytes(bytes: &[u8; 16]) -> Self {
        Self(encode_hex(bytes))
    }
}

impl ProductName {
    /// Pages that stand beside those of products, under `/support/`. A product of such a name would hide one: none is
    /// added any more, and one that is published keeps its name.
    pub const RESERVED: &[&str] = &["audit", "device-data"];

    /// Whether it is one of [`ProductName::RESERVED`].
    pub fn is_reserved(&self) -> bool {
        Self::RESERVED.contains(&self.as_str())
    }
}

impl CohortName {
    /// Pages that stand beside those of cohorts, under `/support/{product}/`. A cohort of such a name would hide one: none
    /// is added any more, and one that is published keeps its name.
    pub const RESERVED: &[&str] = &["cohorts", "isolate", "notices", "promises", "statement", "updates"];

    /// Whether it is one of [`CohortName::RESERVED`].
    pub fn is_reserved(&self) -> bool {
        Self::RESERVED.contains(&self.as_str())
    }
}

impl RoleName {
    /// The name percent-encoded for a file or a URL: letters, digits and `_ . - ~` stay, a leading dot does not.
    /// python-tuf (`quote(name, "")`) writes the same, so a role named `../a` stays in its folder.
    pub fn file_name(&self) -> String {
        percent_encode(&self.0)
    }
}

impl From<&ProductName> for RoleName {
    fn from(product: &ProductName) -> Self {
        Self(product.0.clone())
    }
}

impl From<crate::tuf::TopRole> for RoleName {
    fn from(role: crate::tuf::TopRole) -> Self {
        Self(role.as_str().into())
    }
}

impl TargetPath {
    /// Folder (with its closing `/`, or empty) and last part.
    pub fn split(&self) -> (&str, &str) {
        self.0.rfind('/').map_or(("", self.0.as_str()), |i| self.0.split_at(i + 1))
    }

    /// Where a consistent-snapshot repository keeps this target: `dir/<hash>.name` (TUF 6.2).
    pub fn consistent(&self, hash: &str) -> String {
        let (folder, name) = self.split();
        alloc::format!("{folder}{hash}.{name}")
    }
}

fn percent_encode(text: &str) -> String {
    use core::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'~') {
            out.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_names() {
        for good in ["thermostat", "a1", "heat-pump-3"] {
            assert!(good.parse::<ProductName>().is_ok(), "{good}");
        }
        for bad in
            ["", "a", "Thermostat", "-a1", "a1-", "a/b", "a.b", "root", "snapshot", "é1", &"a".repeat(64)]
        {
            assert!(bad.parse::<ProductName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_attributes_and_tickets() {
        for good in ["ring=canary", "a", "staff.uk_1-x"] {
            assert!(good.parse::<Label>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "=a", "A", "a/b", "a b", "a:b", &"a".repeat(65)] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        assert!("0.wear-level_2".parse::<AttributeName>().is_ok());
        assert!("a=b".parse::<AttributeName>().is_err());
        assert_eq!(
            Ticket::of_bytes(&[0xab; 16]).as_str().parse::<Ticket>().unwrap().as_str(),
            "ab".repeat(16)
        );
        assert!("AB".repeat(16).parse::<Ticket>().is_err());
        assert!("ab".repeat(15).parse::<Ticket>().is_err());
    }

    #[test]
    fn an_id_of_a_key_is_the_beginning_of_its_digest() {
        let id = DeviceId::of_key(&Sha256Digest(core::array::from_fn(|i| i as u8)));
        assert_eq!(id.as_str(), "000102030405060708090a0b0c0d0e0f");
        assert!(id.has_form_of_key());
        assert!(!"device-0017".parse::<DeviceId>().unwrap().has_form_of_key());
    }

    #[test]
    fn target_paths_never_leave_their_folder() {
        for good in ["a", "thermostat/2.1.0.release.json", "a/b c/é", ".hidden"] {
            assert!(good.parse::<TargetPath>().is_ok(), "{good}");
        }
        let long = alloc::format!("a/{}", "x".repeat(181));
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a\\b", "a\0b", "a\nb", &long] {
            assert!(bad.parse::<TargetPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn consistent_names_put_the_hash_before_the_last_part() {
        let path: TargetPath = "thermostat/support.json".parse().unwrap();
        assert_eq!(path.consistent("00ff"), "thermostat/00ff.support.json");
        let flat: TargetPath = "a".parse().unwrap();
        assert_eq!(flat.consistent("00ff"), "00ff.a");
    }

    #[test]
    fn odd_role_names_become_plain_file_names() {
        let role: RoleName = "../a b/é?".parse().unwrap();
        assert_eq!(role.file_name(), "..%2Fa%20b%2F%C3%A9%3F");
    }

    #[test]
    fn the_error_shows_the_text_and_the_rule() {
        let message = alloc::format!("{}", "A B".parse::<ProductName>().unwrap_err());
        assert!(message.starts_with("\"A B\" is no product name: 2 to 63 lower-case"), "{message}");
    }
}

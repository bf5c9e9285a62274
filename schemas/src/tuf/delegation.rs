//! Delegations: by path pattern, by hash prefix, or succinctly by bins (TUF 4.5, TAP 15).

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::keys::{validate_keys, validate_role};
use super::{Authority, Extra, KeyMap};
use crate::digest::Sha256Digest;
use crate::document::{FormatError, ensure};
use crate::ident::{KeyId, RoleName};
use crate::limits::{DELEGATIONS, SUCCINCT_BITS};

/// `delegations` of a targets file. Exactly one of `roles` and `succinct_roles` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Delegations {
    /// The delegatees' keys.
    pub keys: KeyMap,
    /// Delegated roles in order of precedence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Delegation>>,
    /// Hashed bins that share keys and threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succinct_roles: Option<SuccinctRoles>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One delegated role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Delegation {
    /// Its name.
    pub name: RoleName,
    /// Who may sign for it.
    pub keyids: Vec<KeyId>,
    /// How many must.
    pub threshold: u32,
    /// Whether a path that it covers is looked for nowhere else.
    pub terminating: bool,
    /// Path patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Prefixes of the SHA-256 of target paths, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Hashed bins, described once (TAP 15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct SuccinctRoles {
    /// Who may sign for every bin.
    pub keyids: Vec<KeyId>,
    /// How many must.
    pub threshold: u32,
    /// There are 2^`bit_length` bins, 1 to 32.
    pub bit_length: u8,
    /// Bins are named `<name_prefix>-<number in hexadecimal digits>`.
    pub name_prefix: String,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Delegation {
    /// Whether this role may vouch for `path`, whose SHA-256 is `path_digest`. Neither patterns nor prefixes: nothing.
    pub fn covers(&self, path: &str, path_digest: &Sha256Digest) -> bool {
        match (&self.paths, &self.path_hash_prefixes) {
            (Some(patterns), _) => patterns.iter().any(|pattern| matches_pattern(pattern, path)),
            (None, Some(prefixes)) => {
                let digest = format!("{path_digest}");
                prefixes.iter().any(|prefix| digest.starts_with(prefix.as_str()))
            }
            (None, None) => false,
        }
    }
}

impl SuccinctRoles {
    /// The bin that may vouch for a path with this SHA-256.
    ///
    /// # Errors
    /// [`FormatError::Shape`] where the bin's name is no role name; reading refuses such a prefix.
    pub fn bin_for(&self, path_digest: &Sha256Digest) -> Result<RoleName, FormatError> {
        let [a, b, c, d, ..] = path_digest.0;
        let number = u32::from_be_bytes([a, b, c, d]) >> (32 - u32::from(self.bit_length.clamp(1, 32)));
        self.bin(number)
    }

    /// The name of bin `number`.
    ///
    /// # Errors
    /// [`FormatError::Shape`] where it is no role name; reading refuses such a prefix.
    pub fn bin(&self, number: u32) -> Result<RoleName, FormatError> {
        let digits = usize::from(self.bit_length).div_ceil(4);
        let name = format!("{}-{number:0digits$x}", self.name_prefix);
        name.parse().map_err(|e| FormatError::shape("succinct role", format!("{e}")))
    }
}

impl Delegations {
    /// The roles that may vouch for `path`, in order, each with whether the search ends there. A bin never ends it.
    pub fn candidates(&self, path: &str, path_digest: &Sha256Digest) -> Vec<(RoleName, bool)> {
        if let Some(succinct) = &self.succinct_roles {
            return succinct.bin_for(path_digest).map(|bin| (bin, false)).into_iter().collect();
        }
        let roles = self.roles.iter().flatten();
        roles
            .filter(|role| role.covers(path, path_digest))
            .map(|role| (role.name.clone(), role.terminating))
            .collect()
    }

    /// The keys and threshold of a delegated role; `None` for a role that is not delegated to here.
    pub fn authority<'a>(&'a self, role: &'a RoleName) -> Option<Authority<'a>> {
        if let Some(succinct) = &self.succinct_roles {
            let number = role.as_str().strip_prefix(succinct.name_prefix.as_str())?.strip_prefix('-')?;
            let number = u32::from_str_radix(number, 16).ok()?;
            let known = u64::from(number) < 1 << succinct.bit_length && succinct.bin(number).ok()? == *role;
            return known
                .then(|| Authority::new(role.as_str(), &self.keys, &succinct.keyids, succinct.threshold));
        }
        let delegation = self.roles.iter().flatten().find(|delegation| delegation.name == *role)?;
        Some(Authority::new(role.as_str(), &self.keys, &delegation.keyids, delegation.threshold))
    }

    pub(super) fn validate(&self, what: &'static str) -> Result<(), FormatError> {
        validate_keys(&self.keys, what)?;
        match (&self.roles, &self.succinct_roles) {
            (Some(roles), None) => validate_roles(roles, what),
            (None, Some(succinct)) => {
                let bits = (1..=SUCCINCT_BITS).contains(&succinct.bit_length);
                ensure(bits, what, || format!("bit_length of succinct roles is not 1 to {SUCCINCT_BITS}"))?;
                succinct.bin(u32::MAX)?;
                validate_role(&succinct.name_prefix, &succinct.keyids, succinct.threshold, what)
            }
            _ => Err(FormatError::shape(what, "delegations need either roles or succinct_roles")),
        }
    }
}

fn validate_roles(roles: &[Delegation], what: &'static str) -> Result<(), FormatError> {
    ensure(roles.len() <= DELEGATIONS, what, || format!("more than {DELEGATIONS} delegations"))?;
    let mut names = BTreeSet::new();
    for role in roles {
        let name = role.name.as_str();
        let reserved = matches!(name, "root" | "timestamp" | "snapshot" | "targets");
        ensure(!reserved, what, || format!("a delegated role is named {name:?}"))?;
        ensure(names.insert(name), what, || format!("the role {name:?} is delegated to twice"))?;
        let one = role.paths.is_some() != role.path_hash_prefixes.is_some();
        ensure(one, what, || format!("the role {name:?} needs either paths or path_hash_prefixes"))?;
        validate_role(name, &role.keyids, role.threshold, what)?;
    }
    Ok(())
}

/// Whether `path` matches `pattern` (TUF 4.5, PATHPATTERN): `*` and `?` never match `/`, and both have the same number
/// of parts. `[…]` is taken literally, as the specification knows only `*` and `?`.
pub fn matches_pattern(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if matches_part(pattern.as_bytes(), part) => {}
            _ => return false,
        }
    }
}

/// Greedy matching with one point of return: O(pattern × part) at worst, no recursion.
fn matches_part(pattern: &[u8], part: &str) -> bool {
    let text: Vec<char> = part.chars().collect();
    let pattern: Vec<char> = String::from_utf8_lossy(pattern).chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_part_by_part() {
        let yes = [
            ("thermostat/*", "thermostat/support.json"),
            ("*.tgz", "foo.tgz"),
            ("foo-version-?.tgz", "foo-version-2.tgz"),
            ("a*b*c", "aXXbYYbZc"),
            ("*", "é"),
            ("?", "é"),
            ("[ab]", "[ab]"),
        ];
        for (pattern, path) in yes {
            assert!(matches_pattern(pattern, path), "{pattern} {path}");
        }
        let no = [
            ("thermostat/*", "thermostat/a/b"),
            ("*", "a/b"),
            ("a?c", "a/c"),
            ("*.tgz", "targets/foo.tgz"),
            ("", "a"),
            ("a*b*c", "aXXbYY"),
            ("[ab]", "a"),
        ];
        for (pattern, path) in no {
            assert!(!matches_pattern(pattern, path), "{pattern} {path}");
        }
    }

    fn succinct(bit_length: u8) -> SuccinctRoles {
        SuccinctRoles {
            keyids: Vec::new(),
            threshold: 1,
            bit_length,
            name_prefix: "bin".into(),
            extra: Extra::new(),
        }
    }

    #[test]
    fn bins_are_named_by_the_first_bits_of_the_hash() {
        let mut digest = [0xff; 32];
        digest[0] = 0b1010_0000;
        let digest = Sha256Digest(digest);
        assert_eq!(succinct(3).bin_for(&digest).unwrap().as_str(), "bin-5");
        assert_eq!(succinct(11).bin_for(&digest).unwrap().as_str(), "bin-507");
        assert_eq!(succinct(32).bin_for(&digest).unwrap().as_str(), "bin-a0ffffff");
    }

    #[test]
    fn only_bins_that_exist_have_an_authority() {
        let delegations = Delegations {
            keys: KeyMap::new(),
            roles: None,
            succinct_roles: Some(succinct(3)),
            extra: Extra::new(),
        };
        let known = |name: &str| delegations.authority(&name.parse().unwrap()).is_some();
        assert!(known("bin-7"));
        for name in ["bin-8", "bin-07", "bin-+7", "bin", "other-1"] {
            assert!(!known(name), "{name}");
        }
    }
}

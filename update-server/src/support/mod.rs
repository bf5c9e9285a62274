//! The public pages and feeds: until when a product gets security updates, answered from the signed record and the
//! calendar alone. Whatever is shown names the record that it came from. Nothing here signs, stores or promises.
//!
//! | module | holds |
//! | --- | --- |
//! | `listed` | a product as it is listed: its record, and the updates that it got |
//! | `catalogue` | all products of a generation, and how they are found |
//! | `routes` | which address is answered by what |
//! | `search` | finding a product by what is printed on it |
//! | `page`, `words` | HTML for people, in their language |
//! | `feeds` | the same for machines |
//! | `audit` | what makers kept and what they lack, over all products |
//! | `files` | all of it as files, for a site export |
//! | `rendered`, `pages` | an answer, and those that are kept ready for the next reader |
//! | `shelf`, `packed` | where they lie, and how they take little room |

pub(crate) mod audit;
pub(crate) mod catalogue;
pub(crate) mod feeds;
pub(crate) mod files;
pub(crate) mod listed;
mod packed;
pub(crate) mod page;
pub(crate) mod pages;
pub(crate) mod rendered;
mod routes;
pub(crate) mod search;
mod shelf;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub(crate) use catalogue::Catalogue;
pub(crate) use listed::{Face, Listed, Update, View};
pub(crate) use pages::Pages;
pub(crate) use rendered::Rendered;

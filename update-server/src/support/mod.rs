//! The public pages and feeds: until when a product gets security updates, answered from the signed record and the
//! calendar alone. Whatever is shown names the record that it came from. Nothing here signs, stores or promises.
//!
//! | module | holds |
//! | --- | --- |
//! | [`listed`] | a product as it is listed: its record, and the updates that it got |
//! | [`catalogue`] | all products of a generation, and how they are found |
//! | [`routes`] | which address is answered by what |
//! | [`page`] | HTML for people |
//! | [`feeds`] | the same for machines |
//! | [`audit`] | what makers kept and what they lack, over all products |
//! | [`rendered`], [`pages`] | an answer, and those that are kept ready for the next reader |

#![allow(dead_code, reason = "its readers, feeds and pages, come in the next changes")]

pub(crate) mod audit;
pub(crate) mod catalogue;
pub(crate) mod feeds;
pub(crate) mod listed;
mod page;
pub(crate) mod pages;
pub(crate) mod rendered;
mod routes;
#[cfg(test)]
mod tests;

pub(crate) use catalogue::Catalogue;
pub(crate) use listed::{Listed, Update, View};
pub(crate) use pages::Pages;
pub(crate) use rendered::Rendered;

//! How a subject is asked, and what its answers say.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::Deserialize;

use super::data::{DEALS, Of, PER_PAGE, World, id, number};
use super::mix::{Asked, Kind};

/// In what words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The CRM's, with its ids, and a bearer token for each user.
    Crm,
    /// The same, but the answers mean nothing.
    Bare,
    /// The reference service's: its ids are numbers, and a header says who asks.
    Reference,
}

/// The day on which deals close that are moved, and that on which they began.
const CLOSED_ON: &str = "2026-01-31";
const ENGAGED_ON: &str = "2026-01-01";

/// What a won deal is worth.
const VALUE_CENTS: u64 = 240_000;

impl Dialect {
    /// Writes the request in place of what was there; `was_closed` says of a deal that moves whether it is won or lost.
    pub(super) fn write(self, text: &mut String, asked: &Asked, world: &World, was_closed: bool) {
        text.clear();
        let method = if asked.kind == Kind::Move { "POST" } else { "GET" };
        // Writing to a String cannot fail.
        write!(text, "{method} {} HTTP/1.1\r\nhost: 127.0.0.1\r\n", self.path(asked)).ok();
        match self {
            Self::Reference => write!(text, "x-user-id: {}\r\n", asked.user).ok(),
            _ => write!(text, "authorization: Bearer {}\r\n", world.token(asked.user)).ok(),
        };
        let body = match (self, asked.kind) {
            (Self::Crm | Self::Bare, Kind::Move) if was_closed => {
                format!(
                    r#"{{"stage":"engaging","engaged_on":"{ENGAGED_ON}","value_cents":{VALUE_CENTS},"reopen":true}}"#
                )
            }
            (Self::Crm | Self::Bare, Kind::Move) => {
                let stage = if asked.deal.is_multiple_of(2) { "won" } else { "lost" };
                format!(r#"{{"stage":"{stage}","engaged_on":"{ENGAGED_ON}","closed_on":"{CLOSED_ON}"}}"#)
            }
            _ => String::new(),
        };
        if !body.is_empty() {
            write!(text, "content-type: application/json\r\ncontent-length: {}\r\n", body.len()).ok();
        } else if asked.kind == Kind::Move {
            text.push_str("content-length: 0\r\n");
        }
        write!(text, "\r\n{body}").ok();
    }

    fn path(self, asked: &Asked) -> String {
        let Asked { kind, company, deal, page, .. } = *asked;
        if self == Self::Reference {
            return match kind {
                Kind::Deal => format!("/deals/{deal}"),
                Kind::Page => format!("/companies/{company}/deals?page={page}"),
                Kind::Company => format!("/companies/{company}"),
                Kind::Pipeline => format!("/companies/{company}/pipeline"),
                Kind::Monthly => format!("/companies/{company}/analytics/monthly"),
                Kind::Move => format!("/deals/{deal}/move"),
            };
        }
        let company = id(Of::Company, company);
        match kind {
            Kind::Deal => format!("/api/deals/{}", id(Of::Deal, deal)),
            Kind::Page => format!("/api/companies/{company}/deals?page={page}&per_page={PER_PAGE}"),
            Kind::Company => format!("/api/companies/{company}"),
            Kind::Pipeline => format!("/api/companies/{company}/pipeline"),
            Kind::Monthly => format!("/api/companies/{company}/analytics/monthly"),
            Kind::Move => format!("/api/deals/{}/stage", id(Of::Deal, deal)),
        }
    }

    /// The deals that an answer shows, by their numbers, each with its mark; nothing if it is not an answer to what was asked.
    pub(super) fn shown(self, asked: &Asked, body: &[u8]) -> Option<Vec<(u32, i64)>> {
        match (self, asked.kind) {
            (Self::Bare, _) => Some(Vec::new()),
            (Self::Crm, Kind::Deal | Kind::Move) => {
                let row: CrmDeal = serde_json::from_slice(body).ok()?;
                row.shown(asked.company).filter(|(deal, _)| *deal == asked.deal).map(|shown| vec![shown])
            }
            (Self::Crm, Kind::Page) => {
                let page: Page<CrmDeal> = serde_json::from_slice(body).ok()?;
                page.of(asked, |row| row.shown(asked.company))
            }
            (Self::Crm, Kind::Company) => {
                let row: CrmRow = serde_json::from_slice(body).ok()?;
                (number(Of::Company, row.id)? == asked.company).then(Vec::new)
            }
            (Self::Crm, Kind::Pipeline | Kind::Monthly) => {
                let view: CrmView = serde_json::from_slice(body).ok()?;
                (number(Of::Company, view.company_id)? == asked.company).then(Vec::new)
            }
            (Self::Reference, Kind::Deal) => {
                let row: ReferenceDeal = serde_json::from_slice(body).ok()?;
                (row.id == asked.deal).then(|| row.shown()).map(|shown| vec![shown])
            }
            (Self::Reference, Kind::Page) => {
                let page: Page<ReferenceDeal> = serde_json::from_slice(body).ok()?;
                page.of(asked, |row| (row.company_id == asked.company).then(|| row.shown()))
            }
            (Self::Reference, Kind::Company) => {
                let row: ReferenceRow = serde_json::from_slice(body).ok()?;
                (row.id == asked.company).then(Vec::new)
            }
            (Self::Reference, Kind::Move) => {
                let row: ReferenceRow = serde_json::from_slice(body).ok()?;
                (row.id == asked.deal).then(Vec::new)
            }
            // They name no company.
            (Self::Reference, Kind::Pipeline | Kind::Monthly) => body.starts_with(b"{").then(Vec::new),
        }
    }

    /// The mark of a change that was sent then, and answered so.
    pub(super) fn mark(self, sent: SystemTime, shown: &[(u32, i64)]) -> Option<i64> {
        match self {
            Self::Crm => shown.first().map(|(_, version)| *version),
            Self::Bare => None,
            Self::Reference => {
                let since = sent.duration_since(UNIX_EPOCH).ok()?;
                i64::try_from(since.as_millis()).ok()
            }
        }
    }
}

#[derive(Deserialize)]
struct CrmDeal<'a> {
    id: &'a str,
    company_id: &'a str,
    version: i64,
}

impl CrmDeal<'_> {
    fn shown(&self, company: u32) -> Option<(u32, i64)> {
        let is_theirs = number(Of::Company, self.company_id)? == company;
        is_theirs.then_some((number(Of::Deal, self.id)?, self.version))
    }
}

#[derive(Deserialize)]
struct CrmRow<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct CrmView<'a> {
    company_id: &'a str,
}

#[derive(Deserialize)]
struct ReferenceDeal {
    id: u32,
    company_id: u32,
    updated_at: Timestamp,
}

impl ReferenceDeal {
    fn shown(&self) -> (u32, i64) {
        (self.id, self.updated_at.as_millisecond())
    }
}

#[derive(Deserialize)]
struct ReferenceRow {
    id: u32,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    page: u32,
}

impl<T> Page<T> {
    /// Its deals, of those that the load changes; nothing if it is another page, or one of them is not what was asked for.
    fn of(&self, asked: &Asked, shown: impl Fn(&T) -> Option<(u32, i64)>) -> Option<Vec<(u32, i64)>> {
        let all: Option<Vec<(u32, i64)>> = self.items.iter().map(shown).collect();
        let all = all.filter(|_| self.page == asked.page)?;
        Some(all.into_iter().filter(|(deal, _)| *deal <= DEALS).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked { kind: Kind::Deal, company: 7, deal: 12, page: 2, user: 207 };

    fn of(kind: Kind) -> Asked {
        Asked { kind, ..ASKED }
    }

    fn written(dialect: Dialect, asked: &Asked) -> String {
        let world = World { tokens: vec!["secret".to_owned(); 300], deals: Vec::new() };
        let mut text = "what was there".to_owned();
        dialect.write(&mut text, asked, &world, true);
        text
    }

    #[test]
    fn each_is_asked_in_its_own_words() {
        assert_eq!(
            written(Dialect::Reference, &of(Kind::Page)),
            "GET /companies/7/deals?page=2 HTTP/1.1\r\nhost: 127.0.0.1\r\nx-user-id: 207\r\n\r\n"
        );
        assert_eq!(
            written(Dialect::Crm, &ASKED),
            "GET /api/deals/0190d000-0000-7000-8006-00000000000c HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer secret\r\n\r\n"
        );
        let change = written(Dialect::Crm, &of(Kind::Move));
        let (head, body) = change.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("content-length: {}", body.len())) && body.contains("reopen"),
            "{change}"
        );
    }

    #[test]
    fn an_answer_shows_its_deals_with_their_marks() {
        let deal = format!(
            r#"{{"id":"{}","company_id":"{}","title":"a","version":5}}"#,
            id(Of::Deal, 12),
            id(Of::Company, 7)
        );
        assert_eq!(Dialect::Crm.shown(&ASKED, deal.as_bytes()), Some(vec![(12, 5)]));
        let page = format!(r#"{{"items":[{deal}],"page":2,"total":1}}"#);
        assert_eq!(Dialect::Crm.shown(&of(Kind::Page), page.as_bytes()), Some(vec![(12, 5)]));
        let row = r#"{"id":12,"company_id":7,"updated_at":"1970-01-01T00:00:01.234Z"}"#;
        assert_eq!(Dialect::Reference.shown(&ASKED, row.as_bytes()), Some(vec![(12, 1_234)]));
    }

    #[test]
    fn what_is_another_companys_or_another_page_is_no_answer() {
        let deal =
            format!(r#"{{"id":"{}","company_id":"{}","version":5}}"#, id(Of::Deal, 12), id(Of::Company, 8));
        assert_eq!(Dialect::Crm.shown(&ASKED, deal.as_bytes()), None);
        let page = format!(r#"{{"items":[{deal}],"page":2}}"#);
        assert_eq!(Dialect::Crm.shown(&of(Kind::Page), page.as_bytes()), None);
        assert_eq!(Dialect::Crm.shown(&of(Kind::Page), br#"{"items":[],"page":1}"#), None);
        assert_eq!(Dialect::Crm.shown(&ASKED, b"{}"), None);
    }

    #[test]
    fn the_mark_of_a_change_of_the_reference_is_when_it_was_sent() {
        let sent = UNIX_EPOCH + std::time::Duration::from_micros(1_234_999);
        // Its rows have milliseconds, cut off as these.
        assert_eq!(Dialect::Reference.mark(sent, &[]), Some(1_234));
        assert_eq!(Dialect::Crm.mark(sent, &[(12, 6)]), Some(6));
    }
}

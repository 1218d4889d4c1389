//! What is asked: the mix of the reference service, drawn anew by each connection.
//!
//! 40 % one deal, 25 % a page of a company's deals, 15 % a company, 12 % its pipeline, 8 % its months. Companies follow the square of
//! a uniform number, deals the cube, and three of ten pages are not the first. Whoever asks is one of the users of the company that the
//! question is about.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::data::{COMPANIES, DEALS, PAGES, USERS_OF_COMPANY, World};

/// What is asked for, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deal,
    Page,
    Company,
    Pipeline,
    Monthly,
    /// The change: a deal moves to another stage.
    Move,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Deal, Self::Page, Self::Company, Self::Pipeline, Self::Monthly, Self::Move];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deal => "deal",
            Self::Page => "page of deals",
            Self::Company => "company",
            Self::Pipeline => "pipeline",
            Self::Monthly => "months",
            Self::Move => "move of a deal",
        }
    }

    /// Which part of the reads it is, in per cent.
    fn share(self) -> f64 {
        match self {
            Self::Deal => 40.0,
            Self::Page => 25.0,
            Self::Company => 15.0,
            Self::Pipeline => 12.0,
            Self::Monthly => 8.0,
            Self::Move => 0.0,
        }
    }
}

/// One request, by the numbers of what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) company: u32,
    /// Of [`Kind::Deal`] and [`Kind::Move`].
    pub(super) deal: u32,
    /// Of [`Kind::Page`].
    pub(super) page: u32,
    pub(super) user: u32,
}

/// Draws requests.
pub(super) struct Mix {
    chance: StdRng,
    /// Which part of all requests are changes, from 0 to 1.
    writes: f64,
}

impl Mix {
    pub(super) fn new(seed: u64, writes: f64) -> Self {
        Self { chance: StdRng::seed_from_u64(seed), writes }
    }

    /// Whether it has changes in it.
    pub(super) fn writes(&self) -> bool {
        self.writes > 0.0
    }

    /// The next request.
    pub(super) fn draw(&mut self, world: &World) -> Asked {
        let mut kind = self.kind();
        let company = self.skewed(COMPANIES, 2);
        let deal = self.skewed(DEALS, 3);
        let page = if self.chance.random_bool(0.3) { self.chance.random_range(2..=PAGES) } else { 1 };
        if self.writes() && self.chance.random_bool(self.writes) {
            kind = Kind::Move;
        }
        let company = match kind {
            Kind::Deal | Kind::Move => world.deal(deal).company,
            _ => company,
        };
        // Not all of a company may change what is not theirs: its admin may.
        let of_company = if kind == Kind::Move { 0 } else { self.chance.random_range(0..USERS_OF_COMPANY) };
        Asked { kind, company, deal, page, user: World::user(company, of_company) }
    }

    fn kind(&mut self) -> Kind {
        let mut left = self.chance.random_range(0.0..100.0);
        let is_it = |kind: &Kind| {
            left -= kind.share();
            left < 0.0
        };
        Kind::ALL.into_iter().find(is_it).unwrap_or(Kind::Monthly)
    }

    /// A number from 1 to `most`, the smaller the likelier.
    fn skewed(&mut self, most: u32, power: i32) -> u32 {
        let uniform: f64 = self.chance.random();
        1 + ((uniform.powi(power) * f64::from(most)) as u32).min(most - 1)
    }
}

/// Each thing that can be read, once, and each user at least once: after these, all of it has been asked for.
pub(super) fn everything(world: &World) -> Vec<Asked> {
    let of_company = |kind, company, page, user| Asked { kind, company, deal: 1, page, user };
    let mut all = Vec::new();
    for company in 1..=COMPANIES {
        let users = (0..USERS_OF_COMPANY).map(|of_company| World::user(company, of_company));
        all.extend(users.map(|user| of_company(Kind::Company, company, 1, user)));
        let admin = World::user(company, 0);
        all.extend((1..=PAGES).map(|page| of_company(Kind::Page, company, page, admin)));
        all.extend([Kind::Pipeline, Kind::Monthly].map(|kind| of_company(kind, company, 1, admin)));
    }
    all.extend((1..=DEALS).map(|deal| {
        let company = world.deal(deal).company;
        Asked { kind: Kind::Deal, company, deal, page: 1, user: World::user(company, 0) }
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::data::Deal;

    const DRAWS: usize = 100_000;

    fn world() -> World {
        let deal = |deal: u32| Deal { company: 1 + deal % COMPANIES, is_closed: false };
        World { tokens: Vec::new(), deals: (1..=DEALS).map(deal).collect() }
    }

    fn drawn(writes: f64) -> Vec<Asked> {
        let (mut mix, world) = (Mix::new(7, writes), world());
        (0..DRAWS).map(|_| mix.draw(&world)).collect()
    }

    fn share(drawn: &[Asked], is_it: impl Fn(&Asked) -> bool) -> f64 {
        drawn.iter().filter(|asked| is_it(asked)).count() as f64 / drawn.len() as f64
    }

    #[test]
    fn the_mix_adds_up_and_is_the_references() {
        assert!((Kind::ALL.iter().map(|kind| kind.share()).sum::<f64>() - 100.0).abs() < 1e-9);
        let reads = drawn(0.0);
        for kind in Kind::ALL {
            let share = share(&reads, |asked| asked.kind == kind);
            assert!((share - kind.share() / 100.0).abs() < 0.01, "{}: {share}", kind.name());
        }
        // As the square and the cube have it: a quarter of the companies gets half of it, an eighth of the deals too.
        let half = share(&reads, |asked| asked.kind == Kind::Page && asked.company <= COMPANIES / 4);
        assert!((half / 0.25 - 0.5).abs() < 0.02, "{half}");
        let half = share(&reads, |asked| asked.kind == Kind::Deal && asked.deal <= DEALS / 8);
        assert!((half / 0.4 - 0.5).abs() < 0.02, "{half}");
    }

    #[test]
    fn two_of_a_hundred_are_changes_where_that_is_asked_for() {
        let share = share(&drawn(0.02), |asked| asked.kind == Kind::Move);
        assert!((share - 0.02).abs() < 0.002, "{share}");
    }

    #[test]
    fn whoever_asks_is_of_the_company_that_it_asks_about() {
        let world = world();
        for asked in drawn(0.1) {
            assert_eq!(1 + (asked.user - 1) % COMPANIES, asked.company, "{asked:?}");
            if [Kind::Deal, Kind::Move].contains(&asked.kind) {
                assert_eq!(world.deal(asked.deal).company, asked.company);
            }
        }
    }

    #[test]
    fn everything_that_is_drawn_has_been_asked_for_before() {
        let world = world();
        let what = |asked: &Asked| {
            let (deal, page) = (asked.deal, asked.page);
            let deal = if asked.kind == Kind::Deal { deal } else { 0 };
            (asked.kind as u8, asked.company, deal, if asked.kind == Kind::Page { page } else { 0 })
        };
        let all = everything(&world);
        let known: std::collections::HashSet<_> = all.iter().map(what).collect();
        let users: std::collections::HashSet<_> = all.iter().map(|asked| asked.user).collect();
        for asked in drawn(0.0) {
            assert!(known.contains(&what(&asked)) && users.contains(&asked.user), "{asked:?}");
        }
    }
}

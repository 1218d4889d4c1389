//! Who asks, and what it may do: the one place where rights are decided.

use crate::error::Error;
use crate::words::{id, word_enum};
use larder::session::SessionId;

id! {
    /// Names one company.
    CompanyId
}

id! {
    /// Names one user.
    UserId
}

word_enum! {
    /// What a user may do, each role including those before it.
    Role {
        /// Reads all of its company's.
        Viewer = "viewer",
        /// Writes its own deals and contacts.
        Rep = "rep",
        /// Writes all of the company's.
        Manager = "manager",
        /// Manages users and settings too.
        Admin = "admin",
    }
}

/// A user who has signed in, or a program that acts for one. Whoever has one reads everything of its company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub user: UserId,
    /// Its name.
    pub name: String,
    /// Its company: nothing of any other is there for it.
    pub company: CompanyId,
    /// What it may do.
    pub role: Role,
    /// The session that it came with.
    pub session: SessionId,
    /// It has been given its password by somebody else, and has to choose one before it may do anything.
    pub must_change_password: bool,
}

/// Whoever runs the service, and so has its database: it belongs to no company and acts for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator;

/// Whoever asks, where both may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// A user.
    Caller(Caller),
    /// Whoever runs the service.
    Operator,
}

impl Asker {
    /// The company outside of which nothing is there for it; `None` for the operator.
    #[must_use]
    pub const fn company(&self) -> Option<&CompanyId> {
        match self {
            Self::Caller(caller) => Some(&caller.company),
            Self::Operator => None,
        }
    }
}

/// What somebody wants to do with what its company has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act<'a> {
    /// Add, change or remove a deal or contact that belongs to this user, or to nobody; both before and after a change.
    Write(Option<&'a UserId>),
    /// See who changed what.
    Oversee,
    /// Manage users, or change the company itself.
    Administer,
}

impl Caller {
    /// Hides what is of another company: for this caller it is not there.
    ///
    /// # Errors
    /// [`Error::NotFound`], as for what does not exist.
    pub fn within(&self, company: &CompanyId, what: &'static str) -> Result<(), Error> {
        if *company == self.company { Ok(()) } else { Err(Error::NotFound(what)) }
    }

    /// Who owns what it adds: whom it says, or itself, if it may write only its own.
    #[must_use]
    pub fn owner_of_new(&self, given: Option<UserId>) -> Option<UserId> {
        given.or_else(|| (self.role == Role::Rep).then(|| self.user.clone()))
    }

    /// Whether it may do this in its own company.
    #[must_use]
    pub fn can(&self, act: Act<'_>) -> bool {
        match act {
            Act::Write(owner) => match self.role {
                Role::Viewer => false,
                Role::Rep => owner == Some(&self.user),
                Role::Manager | Role::Admin => true,
            },
            Act::Oversee => self.role >= Role::Manager,
            Act::Administer => self.role == Role::Admin,
        }
    }

    /// Refuses what it may not do in its own company.
    ///
    /// # Errors
    /// [`Error::Forbidden`], which says who may.
    pub fn may(&self, act: Act<'_>) -> Result<(), Error> {
        if self.can(act) {
            return Ok(());
        }
        Err(Error::Forbidden(match (act, self.role) {
            (Act::Oversee, _) => "only a manager of the company sees who changed what",
            (Act::Administer, _) => "only an admin of the company may do this",
            (Act::Write(_), Role::Viewer) => {
                "a viewer only reads: ask an admin of the company for another role"
            }
            (Act::Write(_), _) => {
                "this is not yours: a rep writes its own deals and contacts, a manager those of all"
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role) -> Caller {
        Caller {
            user: UserId::named("me"),
            name: "Me".to_owned(),
            company: CompanyId::named("ours"),
            role,
            session: larder::session::Token::new().id(),
            must_change_password: false,
        }
    }

    #[test]
    fn each_role_may_what_the_table_says_and_no_more() {
        let (me, other) = (UserId::named("me"), UserId::named("other"));
        //               its own, another's, nobody's, oversee, administer
        for (role, allowed) in [
            (Role::Viewer, [false, false, false, false, false]),
            (Role::Rep, [true, false, false, false, false]),
            (Role::Manager, [true, true, true, true, false]),
            (Role::Admin, [true, true, true, true, true]),
        ] {
            let acts = [
                Act::Write(Some(&me)),
                Act::Write(Some(&other)),
                Act::Write(None),
                Act::Oversee,
                Act::Administer,
            ];
            assert_eq!(acts.map(|act| caller(role).can(act)), allowed, "{role}");
            assert_eq!(acts.map(|act| caller(role).may(act).is_ok()), allowed, "{role}");
        }
    }

    #[test]
    fn what_is_of_another_company_is_not_there() {
        let caller = caller(Role::Admin);
        assert!(caller.within(&CompanyId::named("ours"), "deal").is_ok());
        assert!(matches!(caller.within(&CompanyId::named("theirs"), "deal"), Err(Error::NotFound("deal"))));
    }
}

//! Users, keys and tokens over a real store.

use std::sync::Arc;
use std::time::Duration;

use super::users::{NewUser, UserChange};
use super::*;
use crate::controller::accounts::{self, NewAccount};
use crate::controller::{ControlError, Controller, Tx};
use crate::model::{Description, Name, PasswordHash, Role, Timestamp, Token};
use crate::store::{EmbeddedStore, Record, Store, Vault, Write};

const LIFETIME: Duration = Duration::from_secs(60);

struct Bench {
    dir: tempfile::TempDir,
    vault: Vault,
    controller: Controller,
}

fn name(text: &str) -> Name {
    Name::new("name", text).unwrap()
}

fn password(text: &str) -> PasswordHash {
    PasswordHash::from_phc(format!("$argon2id${text}")).unwrap()
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
        let controller = Controller::load(store, "r".parse().unwrap(), None).unwrap();
        Self { dir, vault: Vault::with_key(&[1; 32]), controller }
    }

    fn write<T>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        self.controller.write(operation).map(|written| written.value)
    }

    fn account(&self, text: &str) -> NewAccount {
        self.write(|tx| accounts::create(tx, &self.vault, name(text), None, LIFETIME)).unwrap()
    }

    fn user(&self, domain: DomainId, text: &str, role: Role) -> Result<User, ControlError> {
        self.write(|tx| users::create(tx, NewUser { domain, name: name(text), role, password: None }))
    }

    fn is_valid(&self, token: &tokens::Issued, at: Timestamp) -> bool {
        self.controller.read(|state| tokens::valid(state, token.token.hash, at).is_some())
    }

    /// How many users, keys and tokens there are.
    fn counts(&self) -> (usize, usize, usize) {
        self.controller.read(|state| (state.users.len(), state.keys.len(), state.tokens.len()))
    }
}

#[test]
fn an_account_begins_with_a_member_a_key_and_a_token_and_ends_with_them() {
    let bench = Bench::new();
    let NewAccount { account, user, key, token } = bench.account("acme");
    assert_eq!((user.name.as_str(), user.role, user.domain), ("acme", Role::Member, account.domain));
    assert_eq!(bench.vault.unseal(key.key.access, &key.key.secret), Ok(key.secret.clone()));
    assert_eq!((token.text.reveal().len(), key.secret.reveal().len()), (64, 40));
    assert!(bench.is_valid(&token, Timestamp::now()));
    bench.controller.read(|state| {
        assert_eq!(state.domain_of(account.project), account.domain);
        assert_eq!(state.project_of(account.domain), Some(account.project));
        assert_eq!(state.domain_named("acme"), Some(account.domain));
        assert_eq!(state.user_named(account.domain, "acme"), Some(&user));
        assert_eq!(state.user_named(DomainId::OPERATOR, "acme"), None);
        assert!(state.has_project(account.project) && !state.has_project(ProjectId::random()));
    });
    bench.write(|tx| accounts::delete(tx, "acme")).unwrap();
    assert_eq!(bench.counts(), (0, 0, 0));
    bench.controller.read(|state| {
        assert_eq!(state.index, crate::controller::index::Index::default(), "nothing stays in the index");
    });
}

#[test]
fn names_of_accounts_and_users_are_taken_once() {
    let bench = Bench::new();
    let (a, b) = (bench.account("a").account.domain, bench.account("b").account.domain);
    for taken in ["a", "operator", "0123456789abcdef0123456789abcdef"] {
        let create = |tx: &mut Tx<'_>| accounts::create(tx, &bench.vault, name(taken), None, LIFETIME);
        assert!(bench.write(create).is_err(), "{taken}");
    }
    assert!(bench.user(a, "ann", Role::Member).is_ok());
    assert!(bench.user(b, "ann", Role::Reader).is_ok(), "another account has names of its own");
    let error = bench.user(a, "ann", Role::Reader).unwrap_err().to_string();
    assert_eq!(error, "user ann already exists in this account");
}

#[test]
fn operators_live_in_the_operators_own_domain() {
    let bench = Bench::new();
    let domain = bench.account("acme").account.domain;
    let refused = |result: Result<User, ControlError>| {
        assert!(matches!(result, Err(ControlError::OperatorElsewhere)), "{result:?}");
    };
    refused(bench.user(domain, "root", Role::Operator));
    let member = bench.user(domain, "ann", Role::Member).unwrap();
    let change = || UserChange { role: Some(Role::Operator), password: None };
    refused(bench.write(|tx| users::update(tx, member.id, change())));
    let operator = bench.user(DomainId::OPERATOR, "root", Role::Reader).unwrap();
    assert_eq!(bench.write(|tx| users::update(tx, operator.id, change())).unwrap().role, Role::Operator);
}

#[test]
fn a_new_password_and_a_deletion_end_tokens_and_a_new_role_does_not() {
    let bench = Bench::new();
    let NewAccount { user, token, .. } = bench.account("acme");
    let other = bench.user(user.domain, "other", Role::Member).unwrap();
    let others = bench.write(|tx| Ok(tokens::issue(tx, other.id, LIFETIME))).unwrap();
    let now = Timestamp::now();
    let role = UserChange { role: Some(Role::Reader), password: None };
    bench.write(|tx| users::update(tx, user.id, role)).unwrap();
    assert!(bench.is_valid(&token, now));
    let change = UserChange { role: None, password: Some(password("x")) };
    let changed = bench.write(|tx| users::update(tx, user.id, change)).unwrap();
    assert_eq!((changed.role, changed.password), (Role::Reader, Some(password("x"))));
    assert!(!bench.is_valid(&token, now) && bench.is_valid(&others, now));
    bench.write(|tx| users::delete(tx, other.id)).unwrap();
    assert!(!bench.is_valid(&others, now));
    assert_eq!(bench.counts(), (1, 1, 0));
}

#[test]
fn tokens_end_with_their_time_and_are_forgotten_when_others_are_given_out() {
    let bench = Bench::new();
    let NewAccount { user, token, .. } = bench.account("acme");
    let Token { issued_at, expires_at, .. } = token.token;
    assert_eq!(expires_at, issued_at.after(LIFETIME));
    assert!(bench.is_valid(&token, Timestamp::from_micros(expires_at.as_micros() - 1)));
    assert!(!bench.is_valid(&token, expires_at));
    for _ in 0..3 {
        bench.write(|tx| tokens::issue_for(tx, &user, None, Timestamp::from_micros(1))).unwrap();
    }
    assert_eq!(bench.counts().2, 2, "the one before is forgotten, the last one not yet");
    bench.write(|tx| Ok(tokens::issue(tx, user.id, LIFETIME))).unwrap();
    assert_eq!(bench.counts().2, 2);
}

#[test]
fn a_user_has_so_many_tokens_and_keys_and_not_more() {
    let bench = Bench::new();
    let NewAccount { user, token, .. } = bench.account("acme");
    let issue = |tx: &mut Tx<'_>| Ok(tokens::issue(tx, user.id, 2 * LIFETIME));
    let second = bench.write(issue).unwrap();
    for _ in 2..tokens::MAX_TOKENS {
        bench.write(issue).unwrap();
    }
    let now = Timestamp::now();
    assert!(bench.is_valid(&token, now));
    bench.write(issue).unwrap();
    assert!(!bench.is_valid(&token, now) && bench.is_valid(&second, now), "the first to expire has gone");
    assert_eq!(bench.counts().2, tokens::MAX_TOKENS);

    let create = |tx: &mut Tx<'_>| keys::create(tx, &bench.vault, user.id, Description::default());
    for _ in 1..keys::MAX_KEYS {
        bench.write(create).unwrap();
    }
    assert!(matches!(bench.write(create), Err(ControlError::TooManyKeys { limit: keys::MAX_KEYS })));
}

/// A login that waited for its turn got a token for a password that was changed meanwhile,
/// and one token was given for another that had just been ended.
#[test]
fn a_proof_that_ends_while_it_is_looked_at_gives_no_token() {
    let bench = Bench::new();
    let made = bench.account("a");
    let user = |id| bench.controller.read(|state| users::find(state, id).cloned()).unwrap();
    let issue =
        |seen: &User, shown| bench.write(|tx| tokens::issue_for(tx, seen, shown, tx.now.after(LIFETIME)));
    let shown = Some(made.token.token.hash);
    let seen = user(made.user.id);
    assert!(issue(&seen, None).is_ok() && issue(&seen, shown).is_ok());
    bench.write(|tx| tokens::revoke(tx, made.token.token.hash)).unwrap();
    assert!(matches!(issue(&seen, shown), Err(ControlError::ProofOver)), "the token was ended");
    let change = UserChange { role: None, password: Some(password("new")) };
    bench.write(|tx| users::update(tx, seen.id, change)).unwrap();
    assert!(matches!(issue(&seen, None), Err(ControlError::ProofOver)), "the password was changed");
    let seen = user(made.user.id);
    assert!(issue(&seen, None).is_ok(), "with the new one");
    bench.write(|tx| users::delete(tx, seen.id)).unwrap();
    assert!(matches!(issue(&seen, None), Err(ControlError::ProofOver)), "the user was deleted");
}

#[test]
fn an_access_key_is_seen_by_its_user_and_by_who_may_see_all() {
    let bench = Bench::new();
    let (mine, theirs) = (bench.account("a"), bench.account("b"));
    let access = mine.key.key.access.as_str();
    bench.controller.read(|state| {
        for (user, found) in [(Some(mine.user.id), true), (None, true), (Some(theirs.user.id), false)] {
            assert_eq!(keys::find(state, user, access).is_ok(), found);
        }
        assert_eq!(keys::list(state, Some(mine.user.id)).len(), 1);
        assert_eq!(keys::list(state, None).len(), 2);
        assert!(keys::find(state, None, "nonsense").is_err());
    });
    assert!(bench.write(|tx| keys::delete(tx, Some(theirs.user.id), access)).is_err());
    bench.write(|tx| keys::delete(tx, Some(mine.user.id), access)).unwrap();
    assert_eq!(bench.counts().1, 1);
}

#[test]
fn an_account_of_version_0_1_becomes_one_with_a_user_a_sealed_key_and_a_token_that_ends() {
    let Bench { dir, vault, controller } = Bench::new();
    drop(controller);
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
    let load = || Controller::load(Arc::clone(&store), "r".parse().unwrap(), None);
    let (domain, project) = (DomainId::from_u128(1), ProjectId::from_u128(2));
    let bytes: Vec<u8> = TokenHash::of("old token").as_bytes().to_vec();
    // As version 0.1.0 wrote it.
    let value = format!(
        r#"{{"schema":1,"object":{{"domain":"{domain}","project":"{project}","name":"acme","access_key":"00112233445566778899","secret_key":"old secret","token_sha256":{bytes:?},"created_at":77}}}}"#
    );
    let write = Write { key: format!("accounts/{domain}"), expected: None, value: Some(value.into_bytes()) };
    store.commit(&[write]).unwrap();
    assert!(load().is_err(), "nothing is served that has not been taken over");

    let now = Timestamp::from_micros(1000);
    migrate::migrate(&*store, &vault, now, LIFETIME).unwrap();
    let (kept, revision) = store.list("").unwrap();
    migrate::migrate(&*store, &vault, now, LIFETIME).unwrap();
    assert_eq!(store.list("").unwrap(), (kept, revision), "a second time changes nothing");
    let in_clear = |record: &Record| String::from_utf8_lossy(&record.value).contains("old secret");
    assert!(!store.list("").unwrap().0.iter().any(in_clear));

    load().unwrap().read(|state| {
        let account = accounts::find(state, "acme").unwrap();
        assert_eq!((account.domain, account.project), (domain, project));
        let user = accounts::first_user(state, account).unwrap();
        assert_eq!((user.role, &user.password, user.created_at.as_micros()), (Role::Member, &None, 77));
        let key = keys::find(state, Some(user.id), "00112233445566778899").unwrap();
        assert_eq!(vault.unseal(key.access, &key.secret).unwrap().reveal(), "old secret");
        let valid = |at| tokens::valid(state, TokenHash::of("old token"), at).map(|token| token.user);
        assert_eq!(valid(now), Some(user.id));
        assert_eq!(valid(now.after(LIFETIME)), None);
    });
}

//! Stored forms of users, access keys and tokens.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Stored;
use crate::model::{
    AccessKey, AccessKeyId, ModelError, Name, PasswordHash, Sealed, Timestamp, Token, TokenHash, User, UserId,
};

/// See [`User`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserForm {
    id: String,
    domain: String,
    name: String,
    role: String,
    password: Option<String>,
    created_at: u64,
}

impl Stored for User {
    const PREFIX: &'static str = "users/";
    const SCHEMA: u32 = 1;
    type Form = UserForm;
    type Id = UserId;

    fn id(&self) -> UserId {
        self.id
    }

    fn audited(&self) -> Option<Value> {
        let Self { id, domain, name, role, password, created_at } = self;
        Some(json!({
            "id": id.to_string(),
            "domain": domain.to_string(),
            "name": name.as_str(),
            "role": role.as_str(),
            "has_password": password.is_some(),
            "created_at": created_at.as_micros(),
        }))
    }
}

impl From<&User> for UserForm {
    fn from(user: &User) -> Self {
        let User { id, domain, name, role, password, created_at } = user;
        Self {
            id: id.to_string(),
            domain: domain.to_string(),
            name: name.to_string(),
            role: role.to_string(),
            password: password.as_ref().map(|hash| hash.as_str().into()),
            created_at: created_at.as_micros(),
        }
    }
}

impl TryFrom<UserForm> for User {
    type Error = ModelError;

    fn try_from(form: UserForm) -> Result<Self, ModelError> {
        let UserForm { id, domain, name, role, password, created_at } = form;
        Ok(Self {
            id: id.parse()?,
            domain: domain.parse()?,
            name: Name::new("name", &name)?,
            role: role.parse()?,
            password: password.map(PasswordHash::from_phc).transpose()?,
            created_at: Timestamp::from_micros(created_at),
        })
    }
}

/// See [`AccessKey`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKeyForm {
    access: String,
    user: String,
    sealed_secret: Vec<u8>,
    description: String,
    created_at: u64,
}

impl Stored for AccessKey {
    const PREFIX: &'static str = "access-keys/";
    const SCHEMA: u32 = 1;
    type Form = AccessKeyForm;
    type Id = AccessKeyId;

    fn id(&self) -> AccessKeyId {
        self.access
    }

    fn audited(&self) -> Option<Value> {
        let Self { access, user, secret: _, description, created_at } = self;
        Some(json!({
            "access": access.as_str(),
            "user": user.to_string(),
            "description": description.as_str(),
            "created_at": created_at.as_micros(),
        }))
    }

    fn holder(&self) -> Option<UserId> {
        Some(self.user)
    }
}

impl From<&AccessKey> for AccessKeyForm {
    fn from(key: &AccessKey) -> Self {
        let AccessKey { access, user, secret, description, created_at } = key;
        Self {
            access: access.to_string(),
            user: user.to_string(),
            sealed_secret: secret.as_bytes().to_vec(),
            description: description.as_str().into(),
            created_at: created_at.as_micros(),
        }
    }
}

impl TryFrom<AccessKeyForm> for AccessKey {
    type Error = ModelError;

    fn try_from(form: AccessKeyForm) -> Result<Self, ModelError> {
        let AccessKeyForm { access, user, sealed_secret, description, created_at } = form;
        Ok(Self {
            access: access.parse()?,
            user: user.parse()?,
            secret: Sealed::from_bytes(sealed_secret),
            description: description.parse()?,
            created_at: Timestamp::from_micros(created_at),
        })
    }
}

/// See [`Token`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenForm {
    sha256: [u8; 32],
    user: String,
    issued_at: u64,
    expires_at: u64,
}

impl Stored for Token {
    const PREFIX: &'static str = "tokens/";
    const SCHEMA: u32 = 1;
    type Form = TokenForm;
    type Id = TokenHash;

    fn id(&self) -> TokenHash {
        self.hash
    }

    fn audited(&self) -> Option<Value> {
        let Self { hash: _, user, issued_at, expires_at } = self;
        Some(json!({
            "user": user.to_string(),
            "issued_at": issued_at.as_micros(),
            "expires_at": expires_at.as_micros(),
        }))
    }

    fn holder(&self) -> Option<UserId> {
        Some(self.user)
    }

    /// The beginning of the hash: enough to tell tokens apart.
    fn audited_as(&self) -> String {
        format!("{}...", &self.hash.to_string()[..16])
    }
}

impl From<&Token> for TokenForm {
    fn from(token: &Token) -> Self {
        let Token { hash, user, issued_at, expires_at } = *token;
        Self {
            sha256: *hash.as_bytes(),
            user: user.to_string(),
            issued_at: issued_at.as_micros(),
            expires_at: expires_at.as_micros(),
        }
    }
}

impl TryFrom<TokenForm> for Token {
    type Error = ModelError;

    fn try_from(form: TokenForm) -> Result<Self, ModelError> {
        let TokenForm { sha256, user, issued_at, expires_at } = form;
        Ok(Self {
            hash: TokenHash::from_bytes(sha256),
            user: user.parse()?,
            issued_at: Timestamp::from_micros(issued_at),
            expires_at: Timestamp::from_micros(expires_at),
        })
    }
}

//! Requests signed with an access key: `SDK-HMAC-SHA256`.
//!
//! Pure: the parts of a request, its body, the secret and the clock in, a verdict
//! out. Leaves to [`super::auth`] whose key it is and where the body comes from.
//!
//! ```text
//! signature = hex(HMAC-SHA256(secret, "SDK-HMAC-SHA256" \n date \n hex(SHA-256(canonical))))
//! canonical = METHOD \n path/ \n query \n headers \n names;of;headers \n hex(SHA-256(body))
//! ```
//!
//! Source: Huawei Cloud API Request Signing Guide, and what its SDK for Python
//! (huaweicloudsdkcore 3.1) sends.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Uri};
use ring::hmac;
use sha2::{Digest, Sha256};

use crate::model::{AccessKeyId, Secret, Timestamp};

const ALGORITHM: &str = "SDK-HMAC-SHA256";
const DATE: &str = "x-sdk-date";
const CONTENT_HASH: &str = "x-sdk-content-sha256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// How far the clocks of caller and controller may be apart.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is not of the expected form.
    #[error(
        "bad Authorization header: expected SDK-HMAC-SHA256 Access=KEY, SignedHeaders=NAMES, Signature=HEX"
    )]
    Header,
    /// A header that must be signed is not.
    #[error("bad Authorization header: {0} must be among the signed headers")]
    Unsigned(&'static str),
    /// A signed header is missing, or there twice: which one was meant is open.
    #[error("bad Authorization header: the signed header {0} must be in the request exactly once")]
    SignedHeader(String),
    /// The date is not one.
    #[error("bad X-Sdk-Date \"{0}\": expected a time in UTC such as 20260131T235959Z")]
    Date(String),
    /// The date is too far from the controller's clock.
    #[error("bad X-Sdk-Date {signed_at}: more than 15 minutes from this controller's clock, which is {now}")]
    Skew {
        /// The time given.
        signed_at: Timestamp,
        /// The controller's.
        now: Timestamp,
    },
    /// The hash of the body is not the body's.
    #[error("bad X-Sdk-Content-Sha256: expected the SHA-256 of the body, a body must be signed")]
    Content,
    /// The signature is not this request's.
    #[error("the signature does not match the request and the key")]
    Mismatch,
}

/// What a request says of its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key it is said to be made with.
    pub access: AccessKeyId,
    date: String,
    names: Vec<String>,
    mac: Vec<u8>,
}

impl Signature {
    /// Whether a request says that it is signed. One of another scheme does so in vain:
    /// who says to be somebody is not taken for nobody in particular.
    #[must_use]
    pub fn is_claimed(headers: &HeaderMap) -> bool {
        headers.contains_key(http::header::AUTHORIZATION)
    }

    /// Reads the headers and checks the date: all that can be said without the
    /// key.
    ///
    /// # Errors
    /// When a header is not of the expected form, or the clock is another.
    pub fn read(headers: &HeaderMap, now: Timestamp) -> Result<Self, SignatureError> {
        let value = once(headers, "authorization")?;
        let text = std::str::from_utf8(value).map_err(|_| SignatureError::Header)?;
        let text = text.strip_prefix(ALGORITHM).ok_or(SignatureError::Header)?;
        let (mut access, mut names, mut mac) = (None, None, None);
        for part in text.split(',') {
            let (key, value) = part.trim().split_once('=').ok_or(SignatureError::Header)?;
            let place = match key {
                "Access" => &mut access,
                "SignedHeaders" => &mut names,
                "Signature" => &mut mac,
                _ => return Err(SignatureError::Header),
            };
            if place.replace(value).is_some() {
                return Err(SignatureError::Header);
            }
        }
        let names: Vec<String> =
            names.ok_or(SignatureError::Header)?.split(';').map(ToOwned::to_owned).collect();
        for needed in ["host", DATE] {
            if !names.iter().any(|name| name == needed) {
                return Err(SignatureError::Unsigned(needed));
            }
        }
        let date = String::from_utf8_lossy(once(headers, DATE)?).into_owned();
        let signed_at = parse_date(&date).ok_or_else(|| SignatureError::Date(date.clone()))?;
        if signed_at.after(SKEW) < now || now.after(SKEW) < signed_at {
            return Err(SignatureError::Skew { signed_at, now });
        }
        Ok(Self {
            access: access.and_then(|text| text.parse().ok()).ok_or(SignatureError::Header)?,
            date,
            names,
            mac: mac.and_then(from_hex).ok_or(SignatureError::Header)?,
        })
    }

    /// Whether this is the signature of a request by the owner of `secret`.
    ///
    /// # Errors
    /// When it is not, or the request cannot be signed like this.
    pub fn verify(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
        secret: &Secret,
    ) -> Result<(), SignatureError> {
        let mut front = format!(
            "{method}\n{}\n{}\n",
            canonical_path(uri.path()),
            canonical_query(uri.query().unwrap_or_default())
        )
        .into_bytes();
        for name in &self.names {
            front.extend_from_slice(name.as_bytes());
            front.push(b':');
            front.extend_from_slice(once(headers, name)?.trim_ascii());
            front.push(b'\n');
        }
        front.push(b'\n');
        front.extend_from_slice(self.names.join(";").as_bytes());
        front.push(b'\n');
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
        let is_of = |payload: &String| {
            let canonical = Sha256::new().chain_update(&front).chain_update(payload).finalize();
            let signed = format!("{ALGORITHM}\n{}\n{}", self.date, hex(&canonical));
            hmac::verify(&key, signed.as_bytes(), &self.mac).is_ok()
        };
        if payloads(headers, body)?.iter().any(is_of) { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

/// What may have been signed as the hash of the body.
///
/// A body is always covered. Signers that send `X-Sdk-Content-Sha256` without a
/// body disagree whether to sign its value or the hash of nothing.
fn payloads(headers: &HeaderMap, body: &[u8]) -> Result<Vec<String>, SignatureError> {
    let hash = hex(&Sha256::digest(body));
    if !headers.contains_key(CONTENT_HASH) {
        return Ok(vec![hash]);
    }
    let given = once(headers, CONTENT_HASH)?.trim_ascii();
    let is_json =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if given == hash.as_bytes() {
        Ok(vec![hash])
    } else if given == UNSIGNED.as_bytes() && body.is_empty() && !is_json {
        Ok(vec![hash, UNSIGNED.into()])
    } else {
        Err(SignatureError::Content)
    }
}

/// The value of a header that is there exactly once.
fn once<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], SignatureError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        _ => Err(SignatureError::SignedHeader(name.into())),
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    if text.len() != 16 || text.as_bytes()[8] != b'T' || text.as_bytes()[15] != b'Z' {
        return None;
    }
    let time = humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()?;
    let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_micros(u64::try_from(since.as_micros()).ok()?))
}

/// Decoded, encoded again segment by segment, and ending in `/`.
fn canonical_path(path: &str) -> String {
    let decoded = decode(path);
    let mut canonical: Vec<String> = decoded.split(|byte| *byte == b'/').map(encode).collect();
    if canonical.last().is_none_or(|last| !last.is_empty()) {
        canonical.push(String::new());
    }
    canonical.join("/")
}

/// Pairs decoded, in order, and encoded again.
fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&")
}

/// Percent-encoding of all but the unreserved (RFC 3986, section 2.3).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// Takes percent-encoding off; a `%` without two digits is itself.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok()).and_then(from_hex);
        match (first, digits) {
            (b'%', Some(decoded)) => {
                bytes.extend(decoded);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
pub mod tests;

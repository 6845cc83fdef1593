//! What Huawei's SDK for Python signs is taken, and nothing that differs by a bit.

use http::{HeaderName, HeaderValue};

use super::*;

const SECRET: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCD";
/// The clock when the vectors were made.
const SIGNED_AT: &str = "20260131T120000Z";

/// A request as it came over the wire.
#[derive(Clone)]
struct Wire {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Wire {
    /// The verdict on it by a clock so many seconds off. What is no request is
    /// refused before anybody looks at a signature.
    fn verdict(&self, clock_secs: i64) -> Result<(), Option<SignatureError>> {
        let now =
            parse_date(SIGNED_AT).unwrap().as_micros().checked_add_signed(clock_secs * 1_000_000).unwrap();
        let method: Method = self.method.parse().map_err(|_| None)?;
        let uri: Uri = self.target.parse().map_err(|_| None)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| None)?;
            headers.append(name, HeaderValue::from_bytes(value).map_err(|_| None)?);
        }
        let signature = Signature::read(&headers, Timestamp::from_micros(now)).map_err(Some)?;
        if signature.access.as_str() != "0123456789ABCDEFGHIJ" {
            return Err(None);
        }
        let secret = Secret::new(SECRET.into());
        signature.verify(&method, &uri, &headers, &self.body, &secret).map_err(Some)
    }

    fn header(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.headers.iter_mut().find(|(found, _)| found == name).unwrap().1
    }

    /// Signs it as a caller would, over the headers named.
    fn sign(&mut self, names: &[&str], payload: &str) {
        let value_of = |name: &&str| {
            let value = self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
            ((*name).to_owned(), String::from_utf8(value.unwrap_or_default()).unwrap())
        };
        let signed: Vec<(String, String)> = names.iter().map(value_of).collect();
        let key = ("0123456789ABCDEFGHIJ", SECRET);
        let value = authorization(key, &self.method, &self.target, SIGNED_AT, &signed, payload);
        self.headers.retain(|(name, _)| name != "authorization");
        self.headers.push(("authorization".into(), value.into_bytes()));
    }
}

/// The header a caller with this key pair sends, who signs these headers.
pub fn authorization(
    (access, secret): (&str, &str),
    method: &str,
    target: &str,
    date: &str,
    signed: &[(String, String)],
    payload: &str,
) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names = signed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let (path, query) = (canonical_path(path), canonical_query(query));
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
    let text = format!("{ALGORITHM}\n{date}\n{}", hex(&Sha256::digest(canonical)));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = hex(hmac::sign(&key, text.as_bytes()).as_ref());
    format!("{ALGORITHM} Access={access}, SignedHeaders={names}, Signature={mac}")
}

/// Requests of huaweicloudsdkvpcep 3.1.219 as a server received them: a search
/// for an odd name, a creation, a deletion and an odd id.
fn vectors() -> Vec<Wire> {
    #[derive(serde::Deserialize)]
    struct Vector {
        method: String,
        target: String,
        headers: Vec<(String, String)>,
        body: String,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("signed_by_sdk.json")).unwrap();
    let wire = |Vector { method, target, headers, body }| Wire {
        method,
        target,
        headers: headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
        body: body.into_bytes(),
    };
    vectors.into_iter().map(wire).collect()
}

/// A request whose parts each have a meaning of their own.
fn plain() -> Wire {
    let headers =
        [("host", "h:1"), ("x-sdk-date", SIGNED_AT), ("content-type", "text/plain"), ("x-a", " b ")];
    Wire {
        method: "GET".into(),
        target: "/v1".into(),
        headers: headers.map(|(name, value)| (name.into(), value.into())).to_vec(),
        body: vec![],
    }
}

#[test]
fn what_the_sdk_signs_is_taken() {
    let vectors = vectors();
    assert_eq!(
        vectors.iter().map(|wire| wire.method.as_str()).collect::<Vec<_>>(),
        ["GET", "POST", "DELETE", "GET"]
    );
    for wire in vectors {
        assert_eq!(wire.verdict(0), Ok(()), "{} {}", wire.method, wire.target);
    }
}

#[test]
fn canonical_forms_are_those_of_the_signing_guide() {
    for (path, expected) in [
        ("/", "/"),
        ("/v1", "/v1/"),
        ("/v1/", "/v1/"),
        ("/a%2fb/c%7Ed~e", "/a/b/c~d~e/"),
        ("/a b+c*d%25", "/a%20b%2Bc%2Ad%25/"),
        ("/%C3%BC/%zz", "/%C3%BC/%25zz/"),
        ("/a//b", "/a//b/"),
    ] {
        assert_eq!(canonical_path(path), expected, "{path}");
    }
    for (query, expected) in [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=10&a=1", "a=1&a=10&a=2"),
        ("a", "a="),
        ("a=&&b=x=y", "a=&b=x%3Dy"),
        ("k=a%20b%2fc+d*~", "k=a%20b%2Fc%2Bd%2A~"),
        ("B=1&a=2&%41=3", "A=3&B=1&a=2"),
    ] {
        assert_eq!(canonical_query(query), expected, "{query}");
    }
}

#[test]
fn one_bit_anywhere_is_refused() {
    for good in vectors() {
        let refused = |changed: &Wire, what: String| {
            assert_ne!(changed.verdict(0), Ok(()), "{} {}: {what}", good.method, good.target);
        };
        for bit in 0..good.target.len() * 8 {
            let mut target = good.target.clone().into_bytes();
            target[bit / 8] ^= 1 << (bit % 8);
            let Ok(target) = String::from_utf8(target) else { continue };
            // %2f and %2F are one octet in two spellings, and so signed as one.
            if !target.eq_ignore_ascii_case(&good.target) || decode(&target) != decode(&good.target) {
                refused(&Wire { target: target.clone(), ..good.clone() }, target);
            }
        }
        for bit in 0..good.body.len() * 8 {
            let mut changed = good.clone();
            changed.body[bit / 8] ^= 1 << (bit % 8);
            refused(&changed, format!("bit {bit} of the body"));
        }
        let mut longer = good.clone();
        longer.body.push(b' ');
        refused(&longer, "a longer body".into());
        for name in ["authorization", "content-type", "host", "user-agent", "x-project-id", "x-sdk-date"] {
            for bit in 0..good.clone().header(name).len() * 8 {
                let mut changed = good.clone();
                changed.header(name)[bit / 8] ^= 1 << (bit % 8);
                // The digits of the signature may be in capitals.
                let text =
                    |wire: &Wire| String::from_utf8_lossy(&wire.clone().header(name).clone()).into_owned();
                let (before, after) = (text(&good), text(&changed));
                let mac = |text: &str| text.rsplit_once('=').map(|(_, mac)| mac.to_ascii_lowercase());
                let same_front = before.rsplit_once('=').map(|b| b.0) == after.rsplit_once('=').map(|a| a.0);
                if name == "authorization" && same_front && mac(&before) == mac(&after) {
                    continue;
                }
                refused(&changed, format!("bit {bit} of {name}: {after}"));
            }
        }
        let method = if good.method == "GET" { "HEAD" } else { "PUT" };
        refused(&Wire { method: method.into(), ..good.clone() }, method.into());
    }
}

#[test]
fn a_signature_is_good_for_a_quarter_of_an_hour() {
    let wire = vectors().remove(0);
    for (secs, is_good) in
        [(0, true), (900, true), (-900, true), (901, false), (-901, false), (960, false), (-960, false)]
    {
        let verdict = wire.verdict(secs);
        assert_eq!(verdict.is_ok(), is_good, "{secs}: {verdict:?}");
        assert_eq!(matches!(verdict, Err(Some(SignatureError::Skew { .. }))), !is_good, "{secs}");
    }
    for bad in [
        "",
        "20260131T120000",
        "20260131T120000z",
        "20260131 120000Z",
        "2026-1-31T120000",
        "20261331T120000Z",
        "+0260131T120000Z",
        "ää260131T1200Z",
    ] {
        assert_eq!(parse_date(bad), None, "{bad}");
    }
}

#[test]
fn headers_that_leave_something_open_are_refused() {
    let hash = hex(&Sha256::digest(""));
    let signed = |names: &[&str]| {
        let mut wire = plain();
        wire.sign(names, &hash);
        wire
    };
    let with = |name: &str, value: &str| {
        let mut wire = signed(&["host", "x-sdk-date", "x-a"]);
        wire.headers.push((name.into(), value.into()));
        wire
    };
    let mut unordered = signed(&["x-sdk-date", "x-a", "host"]);
    assert_eq!(unordered.verdict(0), Ok(()), "the order is the request's");
    *unordered.header("x-a") = b"b".to_vec();
    assert_eq!(unordered.verdict(0), Ok(()), "values are trimmed");
    let malformed = |value: &str| {
        let mut wire = plain();
        wire.headers.push(("authorization".into(), value.into()));
        wire
    };
    for (what, wire, expected) in [
        ("host unsigned", signed(&["x-sdk-date"]), SignatureError::Unsigned("host")),
        ("date unsigned", signed(&["host"]), SignatureError::Unsigned(DATE)),
        ("missing", signed(&["host", "x-sdk-date", "x-z"]), SignatureError::SignedHeader("x-z".into())),
        ("twice", with("x-a", "b"), SignatureError::SignedHeader("x-a".into())),
        ("host twice", with("host", "h:1"), SignatureError::SignedHeader("host".into())),
        ("date twice", with("x-sdk-date", SIGNED_AT), SignatureError::SignedHeader(DATE.into())),
        ("two signatures", with("authorization", "x"), SignatureError::SignedHeader("authorization".into())),
        ("no parts", malformed("SDK-HMAC-SHA256 "), SignatureError::Header),
        (
            "no key",
            malformed("SDK-HMAC-SHA256 SignedHeaders=host;x-sdk-date, Signature=00"),
            SignatureError::Header,
        ),
        (
            "a part twice",
            malformed("SDK-HMAC-SHA256 Access=A, Access=A, SignedHeaders=host, Signature=00"),
            SignatureError::Header,
        ),
        ("an unknown part", malformed("SDK-HMAC-SHA256 Access=A, Colour=red"), SignatureError::Header),
        (
            "no hexadecimal digits",
            malformed(
                "SDK-HMAC-SHA256 Access=0123456789ABCDEFGHIJ, SignedHeaders=host;x-sdk-date, Signature=0g",
            ),
            SignatureError::Header,
        ),
        (
            "a short one",
            malformed(
                "SDK-HMAC-SHA256 Access=0123456789ABCDEFGHIJ, SignedHeaders=host;x-sdk-date, Signature=00",
            ),
            SignatureError::Mismatch,
        ),
        (
            "an empty one",
            malformed(
                "SDK-HMAC-SHA256 Access=0123456789ABCDEFGHIJ, SignedHeaders=host;x-sdk-date, Signature=",
            ),
            SignatureError::Mismatch,
        ),
    ] {
        assert_eq!(wire.verdict(0), Err(Some(expected)), "{what}");
    }
    assert!(!Signature::is_claimed(&HeaderMap::new()));
}

#[test]
fn a_body_is_always_signed() {
    let hash = |body: &str| hex(&Sha256::digest(body));
    // Content type, X-Sdk-Content-Sha256, body, what was signed as its hash, verdict.
    for (kind, given, body, payload, expected) in [
        ("application/json", hash("{}"), "{}", hash("{}"), Ok(())),
        ("application/json", hash("[]"), "{}", hash("[]"), Err(SignatureError::Content)),
        ("application/json", UNSIGNED.into(), "{}", UNSIGNED.into(), Err(SignatureError::Content)),
        (
            "application/json;charset=utf-8",
            UNSIGNED.into(),
            "",
            UNSIGNED.into(),
            Err(SignatureError::Content),
        ),
        ("text/plain", UNSIGNED.into(), "{}", UNSIGNED.into(), Err(SignatureError::Content)),
        ("text/plain", UNSIGNED.into(), "", UNSIGNED.into(), Ok(())),
        ("text/plain", UNSIGNED.into(), "", hash(""), Ok(())),
        ("text/plain", String::new(), "", hash(""), Err(SignatureError::Content)),
    ] {
        let mut wire = Wire { body: body.into(), ..plain() };
        *wire.header("content-type") = kind.into();
        wire.headers.push((CONTENT_HASH.into(), given.clone().into_bytes()));
        wire.sign(&["host", "x-sdk-date", "content-type"], &payload);
        assert_eq!(wire.verdict(0), expected.map_err(Some), "{kind} {given} {body:?}");
    }
}

//! What is served is what `/openapi.json` says, and the other way round.
//!
//! [`Document::check`] looks at every call of every test of the API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::{Body, Bytes};
use http::{Method, Request, Response};
use jsonschema::Validator;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{ROUTES, World};

/// What the API says of itself.
pub static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document {
    json: serde_json::from_slice(&ROUTES.1).unwrap(),
    validators: Mutex::default(),
});

pub struct Document {
    json: Value,
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

impl Document {
    fn paths(&self) -> &serde_json::Map<String, Value> {
        self.json["paths"].as_object().unwrap()
    }

    /// Every operation with its path and method.
    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.paths().iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// The path of the document that `path` is an example of; literals come first.
    fn template(&self, path: &str) -> Option<&str> {
        let asked: Vec<_> = path.split('/').collect();
        let fits = |template: &&String| {
            let parts: Vec<_> = template.split('/').collect();
            let is_hole = |part: &str| part.starts_with('{');
            parts.len() == asked.len()
                && parts
                    .iter()
                    .zip(&asked)
                    .all(|(part, asked)| part == asked || (is_hole(part) && !asked.is_empty()))
        };
        self.paths().keys().filter(fits).min_by_key(|template| template.matches('{').count()).map(|t| &**t)
    }

    /// Asserts that `value` is what `schema`, found at `place`, asks for.
    fn validate(&self, place: String, schema: &Value, value: &Value) {
        let mut validators = self.validators.lock().unwrap();
        let validator = validators.entry(place.clone()).or_insert_with(|| {
            let mut root = schema.clone();
            root["components"] = self.json["components"].clone();
            let options = jsonschema::options().should_validate_formats(true);
            Arc::new(options.build(&root).unwrap_or_else(|error| panic!("{place}: {error}")))
        });
        let validator = Arc::clone(validator);
        drop(validators);
        if let Err(error) = validator.validate(value) {
            panic!("{place}: {error} at {} in {value}", error.instance_path());
        }
    }

    /// Asserts that `value` has this schema of the document.
    pub fn validate_as(&self, schema: &str, value: &Value) {
        let reference = json!({"$ref": format!("#/components/schemas/{schema}")});
        self.validate(schema.into(), &reference, value);
    }

    /// Asserts that an answer is one the document names; and that a request which
    /// was not refused is one it allows.
    pub fn check(&self, asked: &Asked, response: &Response<()>, body: &Bytes) {
        let (status, method) = (response.status().as_u16(), asked.method.as_str().to_lowercase());
        let place = format!("{method} {} -> {status}", asked.path);
        let is_keystone = asked.path.starts_with("/v3");
        let form = if is_keystone { "KeystoneError" } else { "Error" };
        let error = json!({"$ref": format!("#/components/schemas/{form}")});
        assert_eq!(response.headers()["x-request-id"].len(), 36, "{place}: every answer has a request id");
        let Some(template) = self.template(&asked.path) else {
            assert_eq!(status, 404, "{place} is served and not documented");
            return self.validate(
                format!("no route: {form}"),
                &error,
                &serde_json::from_slice(body).unwrap(),
            );
        };
        let Some(operation) = self.paths()[template].get(&method) else {
            assert_eq!(status, 405, "{place} is served and not documented");
            let allowed: BTreeSet<_> = response.headers()["allow"].to_str().unwrap().split(',').collect();
            let known = self.paths()[template].as_object().unwrap().keys();
            let mut known: BTreeSet<_> = known.map(|method| method.to_uppercase()).collect();
            if known.contains("GET") {
                known.insert("HEAD".into());
            }
            assert_eq!(allowed, known.iter().map(String::as_str).collect(), "{place}");
            return self.validate(
                format!("no method: {form}"),
                &error,
                &serde_json::from_slice(body).unwrap(),
            );
        };
        let documented = &operation["responses"][status.to_string()];
        assert!(documented.is_object(), "{place} is not documented: {}", String::from_utf8_lossy(body));
        let place = format!("{method} {template} -> {status}");
        match documented["content"].as_object() {
            None => assert!(body.is_empty(), "{place} has no body"),
            Some(content) => {
                let kind = response.headers()["content-type"].to_str().unwrap();
                let body = serde_json::from_slice(body).unwrap();
                self.validate(place.clone(), &content[kind]["schema"], &body);
            }
        }
        if status < 300 {
            self.check_request(&place, operation, asked);
        }
    }

    fn check_request(&self, place: &str, operation: &Value, asked: &Asked) {
        if let Some(content) = operation["requestBody"]["content"].as_object() {
            let schema = &content["application/json"]["schema"];
            self.validate(format!("body of {place}"), schema, &serde_json::from_slice(&asked.body).unwrap());
        }
        let query = Request::get(format!("/?{}", asked.query)).body(()).unwrap();
        let query: axum::extract::Query<BTreeMap<String, String>> =
            axum::extract::Query::try_from_uri(query.uri()).unwrap();
        for (name, text) in query.0.into_iter().filter(|(_, text)| !text.is_empty()) {
            let mut parameters = operation["parameters"].as_array().unwrap().iter();
            let schema = parameters.find(|p| p["name"] == name && p["in"] == "query").map(|p| &p["schema"]);
            let schema = schema.unwrap_or_else(|| panic!("{place}: {name} is not documented"));
            let value = match schema["type"].as_str() {
                Some("integer") => json!(text.parse::<u64>().unwrap()),
                _ => json!(text),
            };
            self.validate(format!("{name} of {place}"), schema, &value);
        }
    }
}

/// What is kept of a request to look at once it is answered.
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub body: Bytes,
}

/// The paths a router has, as its Debug form lists them.
fn served_paths() -> BTreeSet<String> {
    let text = format!("{:?}", ROUTES.0);
    let quoted = text.split('"').filter(|part| part.starts_with('/'));
    quoted.filter(|path| !path.contains("__private__")).map(Into::into).collect()
}

#[tokio::test]
async fn what_is_routed_is_documented_and_what_is_documented_is_routed() {
    let served = served_paths();
    assert_eq!(served, DOCUMENT.paths().keys().cloned().collect());
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    for (path, item) in DOCUMENT.paths() {
        let example = path.replace("{project_id}", "-").replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"] {
            let request = Request::builder().method(method).uri(&example).body(Body::empty()).unwrap();
            let answer = world.stranger(None).router.oneshot(request).await.unwrap();
            let documented = match method {
                "HEAD" => item.get("get"),
                other => item.get(other.to_lowercase()),
            };
            assert_eq!(documented.is_some(), answer.status() != 405, "{method} {path}");
        }
    }
}

#[test]
fn the_document_is_openapi_3_1() {
    let document = &DOCUMENT.json;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let tags = document["tags"].as_array().unwrap().iter();
    let tags: BTreeSet<_> = tags.map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    let mut used_tags = BTreeSet::new();
    for (path, method, operation) in DOCUMENT.operations() {
        let place = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{place} has no operationId"));
        assert!(ids.insert(id), "two operations are called {id}");
        assert!(operation["summary"].is_string(), "{place} has no summary");
        let [tag] = operation["tags"].as_array().unwrap().as_slice() else { panic!("{place}: one tag") };
        let tag = tag.as_str().unwrap();
        assert!(tags.contains(tag), "{place}: {tag} is not declared");
        used_tags.insert(tag);
        let holes: BTreeSet<_> = path.split('/').filter_map(|part| part.strip_prefix('{')).collect();
        let holes: BTreeSet<_> = holes.iter().map(|hole| hole.trim_end_matches('}')).collect();
        let empty = vec![];
        let parameters = operation["parameters"].as_array().unwrap_or(&empty);
        let mut names = BTreeSet::new();
        for parameter in parameters {
            let (name, location) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            assert!(names.insert((location, name)), "{place}: {name} twice");
            assert!(parameter["description"].is_string(), "{place}: {name} has no description");
            let known = ["name", "in", "description", "required", "style", "schema", "allowEmptyValue"];
            let fields = parameter.as_object().unwrap().keys();
            assert_eq!(fields.filter(|key| !known.contains(&key.as_str())).count(), 0, "{parameter}");
            jsonschema::meta::validate(&parameter["schema"]).unwrap();
        }
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let in_path: BTreeSet<_> = in_path
            .map(|parameter| {
                assert_eq!(parameter["required"], true, "{place}: a parameter of a path is required");
                parameter["name"].as_str().unwrap()
            })
            .collect();
        assert_eq!(holes, in_path, "{place}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{place} -> {status}");
        }
        for requirement in operation["security"].as_array().unwrap_or(&empty) {
            for scheme in requirement.as_object().unwrap().keys() {
                assert!(document["components"]["securitySchemes"][scheme].is_object(), "{place}: {scheme}");
            }
        }
    }
    assert_eq!(tags, used_tags, "every tag is used");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    every_reference_leads_somewhere(document, document);
}

fn every_reference_leads_somewhere(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            fields.values().for_each(|value| every_reference_leads_somewhere(document, value));
        }
        Value::Array(items) => items.iter().for_each(|item| every_reference_leads_somewhere(document, item)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_needs_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    assert_eq!(world.stranger(None).get("/openapi.json").await, DOCUMENT.json);
}

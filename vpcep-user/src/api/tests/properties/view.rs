//! What can be seen of a model: by the accounts, and by the data plane. What the
//! server shows is read into the same forms and has to be equal.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Decision, Endpoint, Model, Service};
use super::steps::Account;
use super::tags::Tags;

/// What an account sees of what is its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct View {
    pub services: BTreeMap<String, ServiceView>,
    pub endpoints: BTreeMap<String, EndpointView>,
    /// Of services and endpoints, how many there are and may be.
    pub quotas: Vec<(usize, usize)>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct ServiceView {
    pub full_name: String,
    pub status: String,
    pub approval: bool,
    pub port: u16,
    pub permissions: BTreeSet<String>,
    pub tags: Tags,
    pub connection_count: usize,
    /// Endpoint, status, and the account it belongs to.
    pub connections: BTreeMap<String, (String, String)>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct EndpointView {
    pub status: String,
    pub address: Option<String>,
    pub service: String,
    pub service_name: String,
    pub clients: Option<Vec<String>>,
    pub tags: Tags,
    pub error: Option<String>,
}

/// What the data plane should do about an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub struct Planned {
    pub address: String,
    pub is_accepted: bool,
    pub port: u16,
    pub is_restricted: bool,
}

impl Endpoint {
    fn shown_address(&self) -> String {
        format!("10.0.0.{}", self.address)
    }

    fn view(&self, model: &Model) -> EndpointView {
        let service = &model.services[self.service];
        let error = match self.status() {
            "failed" if self.orphan_of.is_some() => Some("EndPoint.2003".to_owned()),
            "failed" => Some("EndPoint.0001".to_owned()),
            _ => None,
        };
        EndpointView {
            status: self.status().into(),
            address: self.was_accepted.then(|| self.shown_address()),
            service: service.name.clone(),
            service_name: self.orphan_of.clone().unwrap_or_else(|| service.full_name()),
            clients: self.clients.map(|clients| clients.iter().map(|&client| client.into()).collect()),
            tags: self.tags.clone(),
            error,
        }
    }
}

impl Model {
    /// What an account sees of what is its own.
    pub fn view(&self, account: Account) -> View {
        let endpoints: BTreeMap<_, _> =
            self.endpoints_of(account).map(|endpoint| (endpoint.name.clone(), endpoint.view(self))).collect();
        let services: BTreeMap<_, _> = self
            .services_of(account)
            .map(|(number, service)| (service.name.clone(), self.service_view(number, service)))
            .collect();
        let [most_services, most_endpoints] = self.quotas[&account];
        let quotas = vec![(services.len(), most_services), (endpoints.len(), most_endpoints)];
        View { services, endpoints, quotas }
    }

    fn service_view(&self, number: usize, service: &Service) -> ServiceView {
        let theirs = self.endpoints.iter().filter(|endpoint| endpoint.service == number && !endpoint.is_gone);
        let connection = |endpoint: &Endpoint| {
            (endpoint.name.clone(), (endpoint.status().to_owned(), format!("{:?}", endpoint.owner)))
        };
        ServiceView {
            full_name: service.full_name(),
            status: "available".into(),
            approval: service.approval,
            port: service.port,
            tags: service.tags.clone(),
            permissions: service.permissions.iter().map(|whom| format!("{whom:?}")).collect(),
            connection_count: theirs.clone().filter(|endpoint| endpoint.is_connected()).count(),
            connections: theirs.map(connection).collect(),
        }
    }

    /// What the data plane should have: an endpoint keeps its address, and refuses
    /// its clients, until it is gone or its service is.
    pub fn plane(&self) -> BTreeMap<String, Planned> {
        let is_there = |endpoint: &&Endpoint| !endpoint.is_gone && endpoint.orphan_of.is_none();
        let planned = |endpoint: &Endpoint| Planned {
            address: endpoint.shown_address(),
            is_accepted: endpoint.decision == Decision::Accepted,
            port: self.services[endpoint.service].port,
            is_restricted: endpoint.clients.is_some(),
        };
        self.endpoints
            .iter()
            .filter(is_there)
            .map(|endpoint| (endpoint.name.clone(), planned(endpoint)))
            .collect()
    }
}

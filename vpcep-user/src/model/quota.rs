//! How much a project may have.

/// The limits in force for a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Most services.
    pub services: u32,
    /// Most endpoints.
    pub endpoints: u32,
    /// Most concurrent connections of each endpoint.
    pub connections: u32,
    /// Most VPCs.
    pub vpcs: u32,
    /// Most subnets, of all VPCs together.
    pub subnets: u32,
    /// Most backends, which are the ports.
    pub backends: u32,
    /// Most unfinished TCP handshakes of each endpoint; 0 for no limit.
    pub half_open: u32,
    /// Most new connections of each endpoint in a second, a second's worth of them at once; 0 for
    /// no limit.
    pub connection_rate: u32,
    /// Most megabits in a second of each endpoint and direction, in IP bytes; 0 for no limit.
    pub bandwidth: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            services: 20,
            endpoints: 50,
            connections: 3000,
            vpcs: 50,
            subnets: 200,
            backends: 500,
            half_open: 0,
            connection_rate: 0,
            bandwidth: 0,
        }
    }
}

/// Limits the operator has set, for one project or for all; the others keep
/// what they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaChange {
    /// Most services, when set.
    pub services: Option<u32>,
    /// Most endpoints, when set.
    pub endpoints: Option<u32>,
    /// Most concurrent connections of each endpoint, when set.
    pub connections: Option<u32>,
    /// Most VPCs, when set.
    pub vpcs: Option<u32>,
    /// Most subnets, when set.
    pub subnets: Option<u32>,
    /// Most backends, when set.
    pub backends: Option<u32>,
    /// Most unfinished handshakes, when set.
    pub half_open: Option<u32>,
    /// Most new connections in a second, when set.
    pub connection_rate: Option<u32>,
    /// Most megabits in a second, when set.
    pub bandwidth: Option<u32>,
}

impl QuotaChange {
    /// What is in force when this is laid over `base`.
    #[must_use]
    pub fn over(self, base: Quotas) -> Quotas {
        Quotas {
            services: self.services.unwrap_or(base.services),
            endpoints: self.endpoints.unwrap_or(base.endpoints),
            connections: self.connections.unwrap_or(base.connections),
            vpcs: self.vpcs.unwrap_or(base.vpcs),
            subnets: self.subnets.unwrap_or(base.subnets),
            backends: self.backends.unwrap_or(base.backends),
            half_open: self.half_open.unwrap_or(base.half_open),
            connection_rate: self.connection_rate.unwrap_or(base.connection_rate),
            bandwidth: self.bandwidth.unwrap_or(base.bandwidth),
        }
    }

    /// This with every limit that `later` sets.
    #[must_use]
    pub fn with(self, later: Self) -> Self {
        Self {
            services: later.services.or(self.services),
            endpoints: later.endpoints.or(self.endpoints),
            connections: later.connections.or(self.connections),
            vpcs: later.vpcs.or(self.vpcs),
            subnets: later.subnets.or(self.subnets),
            backends: later.backends.or(self.backends),
            half_open: later.half_open.or(self.half_open),
            connection_rate: later.connection_rate.or(self.connection_rate),
            bandwidth: later.bandwidth.or(self.bandwidth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_keeps_its_value() {
        let first = QuotaChange { services: Some(1), vpcs: Some(4), ..QuotaChange::default() };
        let second = QuotaChange { endpoints: Some(2), vpcs: Some(3), ..QuotaChange::default() };
        let quotas = first.with(second).over(Quotas::default());
        assert_eq!(quotas, Quotas { services: 1, endpoints: 2, vpcs: 3, ..Quotas::default() });
    }
}

//! Who may connect to a service.

use super::error::ControlError;
use super::services::changeable;
use super::state::Scope;
use super::tx::Tx;
use crate::model::{Description, MAX_PERMISSIONS, Permission, PermissionEntry, PermissionId, ServiceId};

/// Adds permissions and answers the entries now there for them, in the order
/// given. One that is there already is left as it is.
///
/// # Errors
/// When the service is not there or is being deleted, or would have too many.
pub fn add(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: ServiceId,
    permissions: Vec<(Permission, Description)>,
) -> Result<Vec<PermissionEntry>, ControlError> {
    let mut service = changeable(tx.state, scope, id)?.clone();
    let mut answer = Vec::new();
    for (permission, description) in permissions {
        if let Some(known) =
            service.permissions.iter().find(|entry| entry.permission.says_the_same(&permission))
        {
            answer.push(known.clone());
            continue;
        }
        let entry =
            PermissionEntry { id: PermissionId::random(), permission, description, created_at: tx.now };
        answer.push(entry.clone());
        service.permissions.push(entry);
    }
    let count = service.permissions.len();
    if count > MAX_PERMISSIONS {
        return Err(ControlError::TooManyPermissions { count, limit: MAX_PERMISSIONS });
    }
    tx.revise(service);
    Ok(answer)
}

/// Removes permissions by what they say, in any spelling; one that is absent is no error. Endpoints
/// that are there stay.
///
/// # Errors
/// When the service is not there or is being deleted.
pub fn remove(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: ServiceId,
    permissions: &[Permission],
) -> Result<(), ControlError> {
    let mut service = changeable(tx.state, scope, id)?.clone();
    let is_named = |entry: &PermissionEntry| permissions.iter().any(|p| p.says_the_same(&entry.permission));
    service.permissions.retain(|entry| !is_named(entry));
    tx.revise(service);
    Ok(())
}

/// Removes permissions by their ids, all or none, and answers them.
///
/// # Errors
/// When the service or one of them is not there.
pub fn remove_by_id(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: ServiceId,
    ids: &[PermissionId],
) -> Result<Vec<PermissionEntry>, ControlError> {
    let mut service = changeable(tx.state, scope, id)?.clone();
    if let Some(absent) = ids.iter().find(|id| service.permissions.iter().all(|entry| entry.id != **id)) {
        return Err(ControlError::NotFound { kind: "permission", id: absent.to_string() });
    }
    let (removed, kept) = service.permissions.into_iter().partition(|entry| ids.contains(&entry.id));
    service.permissions = kept;
    tx.revise(service);
    Ok(removed)
}

/// Changes the note on a permission and answers the permission.
///
/// # Errors
/// When the service or the permission is not there.
pub fn describe(
    tx: &mut Tx<'_>,
    scope: Scope,
    id: ServiceId,
    permission: PermissionId,
    description: Description,
) -> Result<PermissionEntry, ControlError> {
    let mut service = changeable(tx.state, scope, id)?.clone();
    let entry = service.permissions.iter_mut().find(|entry| entry.id == permission);
    let entry =
        entry.ok_or_else(|| ControlError::NotFound { kind: "permission", id: permission.to_string() })?;
    entry.description = description;
    let answer = entry.clone();
    tx.revise(service);
    Ok(answer)
}

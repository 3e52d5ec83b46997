"""The ids of everything, as they are written outside."""

from typing import Annotated
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.http.inputs import PublicId

AccountId = Annotated[UUID, PublicId(ids.GATEWAY_ACCOUNT)]
ActivationId = Annotated[UUID, PublicId(ids.ACTIVATION)]
ApiKeyId = Annotated[UUID, PublicId(ids.API_KEY)]
AuditId = Annotated[UUID, PublicId(ids.AUDIT)]
CustomerId = Annotated[UUID, PublicId(ids.CUSTOMER)]
DisputeAnswerId = Annotated[UUID, PublicId(ids.DISPUTE_ANSWER)]
DisputeId = Annotated[UUID, PublicId(ids.DISPUTE)]
EntitlementId = Annotated[UUID, PublicId(ids.ENTITLEMENT)]
ErasureId = Annotated[UUID, PublicId(ids.ERASURE)]
EventId = Annotated[UUID, PublicId(ids.EVENT)]
ExternalUserId = Annotated[UUID, PublicId(ids.USER)]
InvoiceId = Annotated[UUID, PublicId(ids.INVOICE)]
IssuerId = Annotated[UUID, PublicId(ids.ISSUER)]
LicenceId = Annotated[UUID, PublicId(ids.LICENCE)]
LotId = Annotated[UUID, PublicId(ids.LOT)]
MovementId = Annotated[UUID, PublicId(ids.MOVEMENT)]
OrderId = Annotated[UUID, PublicId(ids.ORDER)]
PaymentId = Annotated[UUID, PublicId(ids.PAYMENT)]
PriceId = Annotated[UUID, PublicId(ids.PRICE)]
ProductId = Annotated[UUID, PublicId(ids.PRODUCT)]
PurchaseId = Annotated[UUID, PublicId(ids.PURCHASE)]
RefundId = Annotated[UUID, PublicId(ids.REFUND)]
RoleId = Annotated[UUID, PublicId(ids.ROLE)]
SessionId = Annotated[UUID, PublicId(ids.SESSION)]
SecurityEventId = Annotated[UUID, PublicId(ids.SECURITY_EVENT)]
SpendId = Annotated[UUID, PublicId(ids.SPEND)]
SubscriptionId = Annotated[UUID, PublicId(ids.SUBSCRIPTION)]
TransactionId = Annotated[UUID, PublicId(ids.LEDGER_TRANSACTION)]
UserId = Annotated[UUID, PublicId(ids.USER)]

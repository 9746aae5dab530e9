"""What nodes publish to CloudWatch themselves, because the alarm must not depend on what it is about."""

from __future__ import annotations

NAMESPACE = "MlopsHa"
"""Namespace of the platform's own metrics; nodes may write to no other."""

CERTIFICATE_DAYS = "CertificateDaysToExpiry"
"""Metric: days until a certificate on the node ends."""

CERTIFICATE_DIMENSION = "Certificate"
"""Its dimension: which certificate. Nodes of one role share one, so that a single one that speaks is enough."""

PUBLISH_SECONDS = 3_600
"""How often nodes publish: a certificate's days change once a day, and an hour is soon enough to notice silence."""

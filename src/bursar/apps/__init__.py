"""What is sold, app by app. An app knows money and nothing of other apps; money knows no app."""

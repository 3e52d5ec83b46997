drop table booking_link, visitor_session, visitor_sign_in;
